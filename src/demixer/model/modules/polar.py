"""Polar position embedding (PoPE, Gopalakrishnan et al. 2025, arXiv 2509.10534): what and where do not mix."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.modules.rotary import THETA


class PolarPositions(nn.Module):
    """Features of queries and keys are magnitudes; angles are the position's, and for keys an offset that is learnt.

    Args:
        heads: of the attention.
        width: features of a head.
    """

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.offsets = nn.Parameter(torch.zeros(heads, width))  # in radians
        self.register_buffer("frequencies", polar_frequencies(width), persistent=False)

    def table(self, length: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines (length, 2 · heads, width), of the queries and then of the keys."""
        positions = torch.arange(length, device=self.frequencies.device).float()
        angles = (positions.unsqueeze(1) * self.frequencies).unsqueeze(1)
        offsets = self.offsets.float().clamp(-2 * math.pi, 0.0)
        both = torch.cat([angles.expand(-1, *offsets.shape), angles + offsets], dim=1)
        return both.cos(), both.sin()

    def forward(self, rows: Tensor, table: tuple[Tensor, Tensor]) -> Tensor:
        """Queries and then keys (A, L, 2 · heads, width) → (A, L, 2 · heads, 2 · width), their parts along two axes."""
        magnitudes = F.softplus(rows.float())
        return torch.cat([magnitudes * part for part in table], dim=-1)


def polar_frequencies(width: int) -> Tensor:
    """The angle of each of the ``width`` features per position, in radians, fastest first."""
    return THETA ** -(torch.arange(width, device="cpu").float() / width)
