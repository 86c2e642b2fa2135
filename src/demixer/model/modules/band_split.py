"""Spectrogram to band features: every band normalised and projected to the same N features."""

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from demixer.model.modules.band_linear import NormalisedLinear
from demixer.model.modules.bands import BandTable
from demixer.model.modules.normalisation import EPS, standardise


class BandSplit(nn.Module):
    """Group normalisation and a fully connected layer per band (paper, section III-A).

    Bands of equal width are computed in one batched product.

    Args:
        table: the bands.
        features: N.
        eps: of the normalisation.
        values_per_bin: P real values that a bin holds: real and imaginary part of every channel that enters.
        projection: (bands, inputs, outputs) → what makes features of the normalised values of a group of bands.
        normalise: (G, T, M, inputs) → the same; None: zero mean and unit variance of each band over all frames.

    Shapes:
        (T, M, F, P) → (K, T, M, N), with M = batch · channels that are processed independently.
    """

    def __init__(
        self,
        table: BandTable,
        features: int,
        eps: float = EPS,
        values_per_bin: int = 2,
        projection: Callable[[int, int, int], nn.Module] = NormalisedLinear,
        normalise: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.table, self.eps = table, eps
        self.normalise = normalise or partial(standardise, dim=1, eps=eps)
        self.projections = nn.ModuleList(
            projection(len(group.bands), group.width * values_per_bin, features) for group in table.groups
        )

    def forward(self, spectrum: Tensor) -> Tensor:
        frames, rows = spectrum.shape[:2]
        parts = self.table.split(spectrum.flatten(0, 1))
        return self.table.join_bands(
            [
                project(self.normalise(part.unflatten(1, (frames, rows))))
                for project, part in zip(self.projections, parts, strict=True)
            ]
        )
