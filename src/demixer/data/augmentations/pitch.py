"""Higher or lower at the same tempo."""

from dataclasses import dataclass
from fractions import Fraction

from torch import Generator, Tensor

from demixer.data.augmentations.checks import check_probability
from demixer.data.augmentations.speed import nearby_fraction, speed
from demixer.data.augmentations.tempo import tempo
from demixer.data.randomness import uniform


def pitch(audio: Tensor, ratio: Fraction) -> Tensor:
    """Multiply every frequency of (C, L) by ``ratio`` and keep the length: stretch the tempo, then speed up."""
    return speed(tempo(audio, float(1 / ratio)), ratio)[..., : audio.shape[-1]]


@dataclass(frozen=True)
class Pitch:
    """Shift the pitch of a stem, uniformly between two numbers of semitones."""

    min_semitones: float = -2.0
    max_semitones: float = 2.0
    probability: float = 0.2

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if not -24 <= self.min_semitones <= self.max_semitones <= 24:
            raise ValueError(
                f"`min_semitones` (={self.min_semitones}) and `max_semitones` (={self.max_semitones}) must be ordered"
                " and between -24 and 24"
            )

    def draw(self, generator: Generator) -> Fraction:
        """The frequency ratio, as a fraction."""
        return nearby_fraction(2 ** (uniform(self.min_semitones, self.max_semitones, generator) / 12))

    def input_samples(self, output_samples: int, drawn: Fraction, sample_rate_hz: int) -> int:
        """The length stays."""
        return output_samples

    def apply(self, audio: Tensor, drawn: Fraction, sample_rate_hz: int) -> Tensor:
        """See :func:`pitch`."""
        return pitch(audio, drawn)
