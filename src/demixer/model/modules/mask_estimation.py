"""Band features to a complex mask, one estimator per target."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.modules.band_split import BandLinear, NormalisedLinear
from demixer.model.modules.bands import BandTable
from demixer.model.modules.normalisation import EPS, for_products, standardise


class MaskEstimation(nn.Module):
    """A multi-layer perceptron per band and target, ending in a gated linear unit (paper, section III-C).

    Args:
        table: the bands.
        features: N.
        targets: S.
        hidden_factor: width of the hidden layers over N (the paper's 512 = 4 · 128).
        hidden_layers: number of tanh layers (the paper's figure has one).
        values_per_bin: P real values that a bin's mask holds (real and imaginary part of every channel).
        frames: as in :class:`demixer.model.modules.band_split.BandSplit`.
        frames_last: read a band's values as (P, width, T) in memory, although the layers write (T, P · width). Only
            checkpoints that were trained with this mix-up of frames and bins need it.
        eps: of the normalisation.

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
        frames: int | None = None,
        frames_last: bool = False,
        eps: float = EPS,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.estimators = nn.ModuleList(
            TargetMask(table, features, hidden_factor * features, hidden_layers, values_per_bin, frames, frames_last)
            for _ in range(targets)
        )

    def forward(self, features: Tensor) -> Tensor:
        standardised = for_products(standardise(features, dims=(1, 3), eps=self.eps))
        return torch.stack([estimate(standardised) for estimate in self.estimators])


class TargetMask(nn.Module):
    """One target's estimator: hidden layers for all K bands at once, the output layer per group of equal width.

    Shapes:
        (K, T, M, N) standardised → (T, M, F, P).
    """

    def __init__(
        self,
        table: BandTable,
        features: int,
        hidden: int,
        hidden_layers: int,
        values_per_bin: int,
        frames: int | None = None,
        frames_last: bool = False,
    ) -> None:
        super().__init__()
        bands = len(table.widths)
        self.table, self.values_per_bin, self.frames_last = table, values_per_bin, frames_last
        self.first = NormalisedLinear(bands, features, hidden, frames)
        self.hidden = nn.ModuleList(BandLinear(bands, hidden, hidden) for _ in range(hidden_layers - 1))
        self.outputs = nn.ModuleList(
            BandLinear(len(group.bands), hidden, 2 * group.width * values_per_bin) for group in table.groups
        )

    def forward(self, standardised: Tensor) -> Tensor:
        x = torch.tanh(self.first(standardised))
        for layer in self.hidden:
            x = torch.tanh(layer(x))
        parts = [F.glu(output(part)) for output, part in zip(self.outputs, self.table.pick_bands(x), strict=True)]
        if self.frames_last:
            parts = [_frames_last(part, self.values_per_bin) for part in parts]
        flat = [part.flatten(1, 2) for part in parts]
        return self.table.join_bins(flat, self.values_per_bin).unflatten(0, standardised.shape[1:3])


def _frames_last(part: Tensor, values_per_bin: int) -> Tensor:
    """(G, T, M, P · width) as written → read as (G, M, P, width, T) → (G, T, M, width · P)."""
    groups, frames, rows, values = part.shape
    read = part.transpose(1, 2).reshape(groups, rows, values_per_bin, values // values_per_bin, frames)
    return read.permute(0, 4, 1, 3, 2).flatten(3)
