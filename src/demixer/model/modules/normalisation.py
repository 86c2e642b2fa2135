"""Group normalisation over all features and RMS normalisation, written for this network's layouts."""

import torch
from torch import Tensor, nn

EPS = 1e-5


def moments(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Variance and mean over ``dim`` and the features, the last dimension; both stay as dimensions of size 1.

    Sums and norms along the features come first: those are vectorised, while ``var_mean`` over several dimensions is
    not, and takes longer than the matrix products around it (100 times longer on a processor). E[x²] − E[x]² loses no
    digits that matter, since the features' means are no larger than their spread.
    """
    mean = x.mean(-1, keepdim=True).mean(dim, keepdim=True)
    power = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square().mean(dim, keepdim=True) / x.shape[-1]
    return (power - mean.square()).clamp_min(0), mean


def standardise(x: Tensor, dim: int, eps: float = EPS) -> Tensor:
    """Zero mean and unit variance over ``dim`` and the features: group normalisation without its affine map."""
    variance, mean = moments(x, dim)
    scale = torch.rsqrt(variance + eps)
    return torch.addcmul(-mean * scale, x, scale)


def group_norm(x: Tensor, dim: int, weight: Tensor, bias: Tensor, eps: float = EPS) -> Tensor:
    """Group normalisation with one group: over ``dim`` and all features.

    Args:
        x: (…, N).
        dim: the dimension whose mean and variance are taken together with the features'.
        weight: gain per feature (N,).
        bias: offset per feature (N,).
        eps: what keeps silence from being divided by zero.

    Returns:
        Of the shape of ``x``. The affine map is folded into the statistics, so that ``x`` is passed over once.
    """
    variance, mean = moments(x, dim)
    scale = torch.rsqrt(variance + eps) * weight
    return torch.addcmul(bias - mean * scale, x, scale)


def for_products(x: Tensor) -> Tensor:
    """In the number format of matrix products and contiguous, in one pass; under autocast each would copy by itself."""
    kind = x.device.type
    dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype
    return x.to(dtype, memory_format=torch.contiguous_format).contiguous()  # the latter where the dtype is its own


def unit_rms(x: Tensor) -> Tensor:
    """Each vector of features (…, N) at a root mean square of 1, in single precision; silence stays silence."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return x * (x.shape[-1] ** 0.5 / norm.clamp_min(1e-12))


class RMSNorm(nn.Module):
    """Each vector of features at a root mean square of 1, times a gain per feature (Zhang & Sennrich 2019).

    Shapes:
        (…, N) → (…, N).
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        return unit_rms(x) * self.weight

    def folded(self, *layers: nn.Linear) -> Tensor:
        """The weights of linear layers over normalised features, one below the other, with the gain multiplied in."""
        return for_products(torch.cat([layer.weight for layer in layers]) * self.weight)
