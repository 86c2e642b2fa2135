"""Linear layers for bands: the bands of a group have weights of their own and are computed in one batched product."""

import math

import torch
from torch import Tensor, nn

from demixer.model.modules.products import ACTIVATIONS, by_onednn, in_onednn

LARGE = 2**22  # multiplications for a band; with fewer, the bands are computed together


class NormalisedLinear(nn.Module):
    """A normalisation's affine map and a linear layer for each of G bands, folded into one batched product.

    W (γ·x̂ + β) + b = (W·γ) x̂ + (W β + b), with x̂ of zero mean and unit variance.

    Shapes:
        (G, T, M, inputs) standardised → (G, T, M, outputs).
    """

    def __init__(self, bands: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm_weight = nn.Parameter(torch.ones(bands, inputs))
        self.norm_bias = nn.Parameter(torch.zeros(bands, inputs))
        self.linear = BandLinear(bands, inputs, outputs)

    def forward(self, standardised: Tensor, activation: str = "none") -> Tensor:
        return band_linear(standardised, *self.folded(), activation)

    def folded(self) -> tuple[Tensor, Tensor]:
        """The product's weight (G, outputs, inputs) and bias (G, outputs)."""
        weight = self.linear.weight * self.norm_weight.unsqueeze(1)
        bias = torch.baddbmm(self.linear.bias.unsqueeze(2), self.linear.weight, self.norm_bias.unsqueeze(2))
        return weight, bias.squeeze(2)


class ScaledLinear(nn.Module):
    """A gain per input and a linear layer for each of G bands, folded into one batched product: (W·γ) x̂ + b.

    Shapes:
        (G, T, M, inputs) of unit root mean square → (G, T, M, outputs).
    """

    def __init__(self, bands: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm_weight = nn.Parameter(torch.ones(bands, inputs))
        self.linear = BandLinear(bands, inputs, outputs)

    def forward(self, normalised: Tensor) -> Tensor:
        return band_linear(normalised, self.linear.weight * self.norm_weight.unsqueeze(1), self.linear.bias)


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

    def forward(self, x: Tensor, activation: str = "none") -> Tensor:
        return band_linear(x, self.weight, self.bias, activation)


def band_linear(x: Tensor, weight: Tensor, bias: Tensor, activation: str = "none") -> Tensor:
    """(G, T, M, inputs) · (G, outputs, inputs) + (G, outputs) → (G, T, M, outputs), and an activation of products."""
    rows = x.flatten(1, 2)
    if _band_by_band(rows, weight.shape[1], activation):
        product = rows.new_empty(*rows.shape[:2], weight.shape[1])
        for out, *band in zip(product, rows, weight.to(x.dtype), bias.to(x.dtype), strict=True):
            out.copy_(in_onednn(*band, activation))
    else:
        product = ACTIVATIONS[activation][0](torch.baddbmm(bias.unsqueeze(1), rows, weight.transpose(1, 2)))
    return product.unflatten(1, x.shape[1:3])


def _band_by_band(rows: Tensor, outputs: int, activation: str) -> bool:
    """Whether oneDNN's products of each band are faster than torch's of all, which in bf16 only lack the activation."""
    large = rows[0].numel() * outputs >= LARGE
    return large and (rows.dtype == torch.float32 or activation != "none") and by_onednn(rows, rows)
