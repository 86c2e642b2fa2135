"""Band features to a complex mask, one estimator per target."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.modules.band_linear import BandLinear, NormalisedLinear
from demixer.model.modules.bands import BandTable
from demixer.model.modules.normalisation import EPS, for_products, standardise


@dataclass(frozen=True)
class MaskConfig:
    """The multi-layer perceptron of a mask.

    Args:
        hidden_factor: width of the hidden layers over N (the paper's 512 = 4 · 128).
        hidden_layers: number of tanh layers (the paper's figure has one); 0: the features are gated as they are.
    """

    hidden_factor: int = 4
    hidden_layers: int = 1


class MaskEstimation(nn.Module):
    """Normalisation, which the targets share, then each target's estimator (paper, section III-C).

    Args:
        estimators: one for each of the S targets: (K, T, M, N) standardised → (T, M, F, P).
        eps: of the normalisation.
        normalise: (K, T, M, N) → the same; None: zero mean and unit variance of each band over all frames.

    Shapes:
        (K, T, M, N) → (S, T, M, F, P).
    """

    def __init__(
        self, estimators: Iterable[nn.Module], eps: float = EPS, normalise: Callable[[Tensor], Tensor] | None = None
    ) -> None:
        super().__init__()
        self.eps = eps
        self.normalise = normalise or partial(standardise, dim=1, eps=eps)
        self.estimators = nn.ModuleList(estimators)

    def forward(self, features: Tensor) -> Tensor:
        standardised = for_products(self.normalise(features))
        return torch.stack([estimate(standardised) for estimate in self.estimators])


class TargetMask(nn.Module):
    """One target's multi-layer perceptron per band, ending in a gated linear unit.

    The hidden layers of all K bands are computed at once, the output layers per group of equal width.

    Args:
        table: the bands.
        features: N.
        config: the hidden layers.
        values_per_bin: P real values that a bin's mask holds (real and imaginary part of every channel).
        projection: (bands, inputs, outputs) → the first layer, which takes standardised features and an activation's
            name.

    Shapes:
        (K, T, M, N) standardised → (T, M, F, P).
    """

    def __init__(
        self,
        table: BandTable,
        features: int,
        config: MaskConfig,
        values_per_bin: int = 2,
        projection: Callable[[int, int, int], nn.Module] = NormalisedLinear,
    ) -> None:
        super().__init__()
        layers = config.hidden_layers
        bands, hidden = len(table.widths), (config.hidden_factor if layers else 1) * features
        self.table, self.values_per_bin = table, values_per_bin
        self.first = projection(bands, features, hidden) if layers else None
        self.hidden = nn.ModuleList(BandLinear(bands, hidden, hidden) for _ in range(layers - 1))
        self.outputs = nn.ModuleList(
            BandLinear(len(group.bands), hidden, 2 * group.width * values_per_bin) for group in table.groups
        )

    def forward(self, standardised: Tensor) -> Tensor:
        x = standardised if self.first is None else self.first(standardised, activation="tanh")
        for layer in self.hidden:
            x = layer(x, activation="tanh")
        parts = [self.gate(output(part)) for output, part in zip(self.outputs, self.table.pick_bands(x), strict=True)]
        flat = [part.flatten(1, 2) for part in parts]
        return self.table.join_bins(flat, self.values_per_bin).unflatten(0, standardised.shape[1:3])

    def gate(self, outputs: Tensor) -> Tensor:
        """What the last layers of a group's bands give → the bands' masks.

        Args:
            outputs: (G, T, M, 2 · width · P), the values and then their gates.

        Returns:
            (G, T, M, width · P).
        """
        return F.glu(outputs)
