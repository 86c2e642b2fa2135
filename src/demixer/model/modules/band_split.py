"""Spectrogram to band features: every band normalised and projected to the same N features."""

import math

import torch
from torch import Tensor, nn

from demixer.model.modules.bands import BandTable
from demixer.model.modules.normalisation import EPS, standardise


class BandSplit(nn.Module):
    """Group normalisation and a fully connected layer per band (paper, section III-A).

    Bands of equal width are computed in one batched product. The normalisation's affine map is folded into the
    projection: W (γ·x̂ + β) + b = (W·γ) x̂ + (W β + b).

    Args:
        table: the bands.
        features: N.
        values_per_bin: P real values that a bin holds: real and imaginary part of every channel that enters.
        frames: the number of frames T that has its own gain and offset each; None: any T, with one for all frames.
        eps: of the normalisation.

    Shapes:
        (T, M, F, P) → (K, T, M, N), with M = batch · channels that are processed independently.
    """

    def __init__(
        self, table: BandTable, features: int, values_per_bin: int = 2, frames: int | None = None, eps: float = EPS
    ) -> None:
        super().__init__()
        self.table, self.eps = table, eps
        self.projections = nn.ModuleList(
            NormalisedLinear(len(group.bands), group.width * values_per_bin, features, frames) for group in table.groups
        )

    def forward(self, spectrum: Tensor) -> Tensor:
        frames, rows = spectrum.shape[:2]
        parts = self.table.split(spectrum.flatten(0, 1))
        return self.table.join_bands(
            [
                project(standardise(part.unflatten(1, (frames, rows)), dims=(1, 3), eps=self.eps))
                for project, part in zip(self.projections, parts, strict=True)
            ]
        )


class NormalisedLinear(nn.Module):
    """A normalisation's affine map and a linear layer for each of G bands, folded into one batched product.

    With ``frames`` every frame has an affine map of its own (a layer norm over frames and features, as older public
    checkpoints have it), which nothing can fold, and T must be ``frames``.

    Shapes:
        (G, T, M, inputs) standardised → (G, T, M, outputs).
    """

    def __init__(self, bands: int, inputs: int, outputs: int, frames: int | None = None) -> None:
        super().__init__()
        shape = (bands, inputs) if frames is None else (bands, frames, inputs)
        self.norm_weight = nn.Parameter(torch.ones(shape))
        self.norm_bias = nn.Parameter(torch.zeros(shape))
        self.linear = BandLinear(bands, inputs, outputs)

    def forward(self, standardised: Tensor) -> Tensor:
        if self.norm_weight.ndim == 3:
            gain, offset = self.norm_weight.unsqueeze(2), self.norm_bias.unsqueeze(2)
            return self.linear(torch.addcmul(offset, standardised, gain))
        weight = self.linear.weight * self.norm_weight.unsqueeze(1)
        bias = torch.baddbmm(self.linear.bias.unsqueeze(2), self.linear.weight, self.norm_bias.unsqueeze(2))
        return band_linear(standardised, weight, bias.squeeze(2))


class BandLinear(nn.Module):
    """A linear layer for each of G bands, initialised as ``nn.Linear`` is.

    Shapes:
        (G, T, M, inputs) → (G, T, M, outputs).
    """

    def __init__(self, bands: int, inputs: int, outputs: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.empty(bands, outputs, inputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(bands, outputs).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return band_linear(x, self.weight, self.bias)


def band_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(G, T, M, inputs) · (G, outputs, inputs) + (G, outputs) → (G, T, M, outputs)."""
    product = torch.baddbmm(bias.unsqueeze(1), x.flatten(1, 2), weight.transpose(1, 2))
    return product.unflatten(1, x.shape[1:3])
