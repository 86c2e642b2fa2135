"""Sources that fall silent."""

from dataclasses import dataclass

from torch import Generator, Tensor

from demixer.data.augmentations.checks import check_probability
from demixer.data.randomness import happens


def dropout(audio: Tensor, dropped: Tensor) -> Tensor:
    """Silence the sources (B, S, C, L) where ``dropped`` (B, S) is true."""
    return audio.masked_fill(dropped[..., None, None], 0)


@dataclass(frozen=True)
class Dropout:
    """Silence each source with a probability (0.1 in the paper, section III-B), so that silence is learnt as well."""

    probability: float = 0.1

    def __post_init__(self) -> None:
        check_probability(self.probability)

    def draw(self, sources: int, generator: Generator) -> Tensor:
        """Which sources (S,) are silenced."""
        return happens(self.probability, sources, generator)

    def apply(self, audio: Tensor, drawn: Tensor, sample_rate_hz: int) -> Tensor:
        """See :func:`dropout`."""
        return dropout(audio, drawn)
