"""The sign of the waveform."""

from dataclasses import dataclass

from torch import Generator, Tensor

from demixer.data.augmentations.checks import check_probability
from demixer.data.randomness import happens


def polarity(audio: Tensor, inverted: Tensor) -> Tensor:
    """Change the sign of the sources (B, S, C, L) where ``inverted`` (B, S) is true."""
    return audio * (1 - 2 * inverted.to(audio.dtype))[..., None, None]


@dataclass(frozen=True)
class Polarity:
    """Invert each source by itself: a source sounds the same, but adds up differently with the others."""

    probability: float = 0.5

    def __post_init__(self) -> None:
        check_probability(self.probability)

    def draw(self, sources: int, generator: Generator) -> Tensor:
        """Which sources (S,) are inverted."""
        return happens(self.probability, sources, generator)

    def apply(self, audio: Tensor, drawn: Tensor, sample_rate_hz: int) -> Tensor:
        """See :func:`polarity`."""
        return polarity(audio, drawn)
