"""Left becomes right."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from demixer.data.augmentations.checks import check_probability
from demixer.data.randomness import happens


def channel_swap(audio: Tensor, swapped: Tensor) -> Tensor:
    """Reverse the channels of the sources (B, S, C, L) where ``swapped`` (B, S) is true."""
    return torch.where(swapped[..., None, None], audio.flip(-2), audio)


@dataclass(frozen=True)
class ChannelSwap:
    """Swap the channels of each source by itself."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_probability(self.probability)

    def draw(self, sources: int, generator: Generator) -> Tensor:
        """Which sources (S,) are swapped."""
        return happens(self.probability, sources, generator)

    def apply(self, audio: Tensor, drawn: Tensor, sample_rate_hz: int) -> Tensor:
        """See :func:`channel_swap`."""
        return channel_swap(audio, drawn)
