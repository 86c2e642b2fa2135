"""Rotary position embedding (Su et al. 2021, arXiv 2104.09864): attention knows how far apart two positions are."""

import torch
from torch import Tensor, nn

THETA = 10_000.0


class RotaryPositions(nn.Module):
    """Queries and keys are turned by their position; nothing is learnt.

    Args:
        heads: of the attention, all of which are turned alike.
        width: features of a head; even.
    """

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.register_buffer("frequencies", rotary_frequencies(width), persistent=False)

    def table(self, length: int) -> tuple[Tensor, Tensor]:
        """What :meth:`forward` takes for sequences of one length."""
        return rotary_table(self.frequencies, length)

    def forward(self, rows: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
        """Queries and then keys (A, L, 2 · heads, width) → the same, turned, in single precision."""
        return rotate(rows, *table)


def rotary_frequencies(width: int) -> Tensor:
    """The angle of each of the ``width`` / 2 pairs of features per position, in radians, fastest first."""
    return THETA ** -(torch.arange(0, width, 2, device="cpu").float() / width)


def rotary_table(frequencies: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """Cosines and sines of all positions, as :func:`rotate` takes them.

    Args:
        frequencies: (width / 2,) radians per position.
        length: number of positions.

    Returns:
        Two tensors (length, 1, width): the sines are negative for the first of each pair.
    """
    angles = torch.arange(length, device=frequencies.device).float().unsqueeze(1) * frequencies
    cosines, sines = angles.cos(), angles.sin()
    return torch.cat([cosines, cosines], dim=-1).unsqueeze(1), torch.cat([-sines, sines], dim=-1).unsqueeze(1)


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each pair of features by its position's angle, in single precision.

    A pair is feature i and i + width / 2: halves lie side by side in memory, so that no feature is picked one by one.

    Args:
        x: (…, length, heads, width).
        cosines: of :func:`rotary_table`.
        sines: of the same.

    Returns:
        Of the shape of ``x``, in single precision.
    """
    first, second = x.chunk(2, dim=-1)
    swapped = torch.cat([second, first], dim=-1)
    return torch.addcmul(x * cosines, swapped, sines)
