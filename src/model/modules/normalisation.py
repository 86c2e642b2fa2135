"""Group normalisation over all features, written for this network's layouts."""

import torch
from torch import Tensor

EPS = 1e-5


def standardise(x: Tensor, dims: tuple[int, ...], eps: float = EPS) -> Tensor:
    """Zero mean and unit variance over ``dims``: group normalisation with one group, without its affine map."""
    variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    scale = torch.rsqrt(variance + eps)
    return torch.addcmul(-mean * scale, x, scale)


def group_norm(x: Tensor, dims: tuple[int, ...], weight: Tensor, bias: Tensor, eps: float = EPS) -> Tensor:
    """Group normalisation: with one group where ``dims`` include the last (the features N), else with N groups.

    Args:
        x: (…, N).
        dims: the dimensions whose mean and variance are taken.
        weight: gain per feature (N,).
        bias: offset per feature (N,).
        eps: what keeps silence from being divided by zero.

    Returns:
        Of the shape of ``x``. The affine map is folded into the statistics, so that ``x`` is passed over once.
    """
    variance, mean = torch.var_mean(x, dims, correction=0, keepdim=True)
    scale = torch.rsqrt(variance + eps) * weight
    return torch.addcmul(bias - mean * scale, x, scale)
