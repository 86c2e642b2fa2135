"""Linear layers for bands: the bands of a group have weights of their own and are computed in one batched product."""

import math

import torch
from torch import Tensor, nn


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

    def forward(self, standardised: Tensor) -> Tensor:
        return band_linear(standardised, *self.folded())

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

    def forward(self, x: Tensor) -> Tensor:
        return band_linear(x, self.weight, self.bias)


def band_linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """(G, T, M, inputs) · (G, outputs, inputs) + (G, outputs) → (G, T, M, outputs)."""
    product = torch.baddbmm(bias.unsqueeze(1), x.flatten(1, 2), weight.transpose(1, 2))
    return product.unflatten(1, x.shape[1:3])
