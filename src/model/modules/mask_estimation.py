"""Band features to a complex mask, one estimator per target."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.modules.band_split import BandLinear, NormalisedLinear
from model.modules.bands import BandTable
from model.modules.normalisation import standardise


class MaskEstimation(nn.Module):
    """A multi-layer perceptron per band and target, ending in a gated linear unit (paper, section III-C).

    Args:
        table: the bands.
        features: N.
        targets: S.
        hidden_factor: width of the hidden layers over N (the paper's 512 = 4 · 128).
        hidden_layers: number of tanh layers (the paper's figure has one).
        values_per_bin: P real values that a bin's mask holds (real and imaginary part of every channel).

    Shapes:
        (K, T, M, N) → (S, T, M, F, P).
    """

    def __init__(
        self,
        table: BandTable,
        features: int,
        targets: int,
        hidden_factor: int = 4,
        hidden_layers: int = 1,
        values_per_bin: int = 2,
    ) -> None:
        super().__init__()
        self.estimators = nn.ModuleList(
            TargetMask(table, features, hidden_factor * features, hidden_layers, values_per_bin)
            for _ in range(targets)
        )

    def forward(self, features: Tensor) -> Tensor:
        standardised = standardise(features, dims=(1, 3))
        return torch.stack([estimate(standardised) for estimate in self.estimators])


class TargetMask(nn.Module):
    """One target's estimator: hidden layers for all K bands at once, the output layer per group of equal width.

    Shapes:
        (K, T, M, N) standardised → (T, M, F, P).
    """

    def __init__(self, table: BandTable, features: int, hidden: int, hidden_layers: int, values_per_bin: int) -> None:
        super().__init__()
        bands = len(table.widths)
        self.table, self.values_per_bin = table, values_per_bin
        self.first = NormalisedLinear(bands, features, hidden)
        self.hidden = nn.ModuleList(BandLinear(bands, hidden, hidden) for _ in range(hidden_layers - 1))
        self.outputs = nn.ModuleList(
            BandLinear(len(group.bands), hidden, 2 * group.width * values_per_bin) for group in table.groups
        )

    def forward(self, standardised: Tensor) -> Tensor:
        x = torch.tanh(self.first(standardised))
        for layer in self.hidden:
            x = torch.tanh(layer(x))
        parts = [
            F.glu(output(part)).flatten(1, 2)
            for output, part in zip(self.outputs, self.table.pick_bands(x), strict=True)
        ]
        return self.table.join_bins(parts, self.values_per_bin).unflatten(0, standardised.shape[1:3])
