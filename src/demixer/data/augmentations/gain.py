"""Loudness of each source."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor


def gain(audio: Tensor, gain_db: Tensor) -> Tensor:
    """Scale the sources (B, S, C, L) by ``gain_db`` (B, S).

    >>> gain(torch.ones(1, 1, 1, 1), torch.tensor([[-6.0]])).item()
    0.5011872...
    """
    return audio * (10 ** (gain_db / 20))[..., None, None]


@dataclass(frozen=True)
class Gain:
    """A gain for each source, uniform in dB (±10 dB in the paper, section III-B)."""

    min_gain_db: float = -10.0
    max_gain_db: float = 10.0

    def __post_init__(self) -> None:
        if self.min_gain_db > self.max_gain_db:
            raise ValueError(f"`min_gain_db` (={self.min_gain_db}) must be at most `max_gain_db` (={self.max_gain_db})")

    def draw(self, sources: int, generator: Generator) -> Tensor:
        """Gains in dB (S,)."""
        return self.min_gain_db + (self.max_gain_db - self.min_gain_db) * torch.rand(sources, generator=generator)

    def apply(self, audio: Tensor, drawn: Tensor, sample_rate_hz: int) -> Tensor:
        """See :func:`gain`."""
        return gain(audio, drawn)
