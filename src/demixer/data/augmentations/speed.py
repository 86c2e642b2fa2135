"""Faster and higher, or slower and lower, as a turntable does it."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from torch import Generator, Tensor

from demixer.audio import resample
from demixer.data.augmentations.checks import check_probability, check_ratios
from demixer.data.randomness import uniform

_MAX_DENOMINATOR = 100  # the error is below 9 cents


def speed(audio: Tensor, ratio: Fraction) -> Tensor:
    """Play (C, L) ``ratio`` times as fast by resampling: L / ratio samples, every frequency times ``ratio``."""
    return resample(audio, ratio.numerator, ratio.denominator)


def nearby_fraction(ratio: float) -> Fraction:
    """The closest fraction of small numbers, so that lengths are exact."""
    return Fraction(ratio).limit_denominator(_MAX_DENOMINATOR)


@dataclass(frozen=True)
class Speed:
    """Change the speed of a stem, uniformly between two ratios."""

    min_ratio: float = 0.9
    max_ratio: float = 1.1
    probability: float = 0.2

    def __post_init__(self) -> None:
        check_probability(self.probability)
        check_ratios(self.min_ratio, self.max_ratio, "ratio")

    def draw(self, generator: Generator) -> Fraction:
        """The speed, as a fraction."""
        return nearby_fraction(uniform(self.min_ratio, self.max_ratio, generator))

    def input_samples(self, output_samples: int, drawn: Fraction, sample_rate_hz: int) -> int:
        """As many samples more as the music runs faster."""
        return ceil(output_samples * drawn)

    def apply(self, audio: Tensor, drawn: Fraction, sample_rate_hz: int) -> Tensor:
        """See :func:`speed`."""
        return speed(audio, drawn)
