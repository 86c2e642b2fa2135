"""Faster or slower at the same pitch."""

from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from demixer.data.augmentations.checks import check_probability, check_ratios
from demixer.data.randomness import uniform

_WINDOW = 2048
_HOP = 512
_SILENCE = 1e-9  # a bin this small has no phase to speak of


def tempo(audio: Tensor, rate: float) -> Tensor:
    """Play (C, L) ``rate`` times as fast at the same pitch: a phase vocoder, ceil(L / rate) samples."""
    window = torch.hann_window(_WINDOW, device=audio.device)
    spectrum = torch.stft(audio, _WINDOW, _HOP, window=window, pad_mode="constant", return_complex=True)
    return torch.istft(_stretch(spectrum, rate), _WINDOW, _HOP, window=window, length=ceil(audio.shape[-1] / rate))


def _stretch(spectrum: Tensor, rate: float) -> Tensor:
    """Frames (C, F, T) at every ``rate``-th place: magnitudes interpolated, phases advancing as they do there.

    Between two frames a phase advances by the angle of next · conj(now), the hop being the same before and after; so
    the product of these phasors gives the phases, and neither angles nor their unwrapping are needed.
    """
    place = torch.arange(0, spectrum.shape[-1], rate, dtype=torch.float64, device=spectrum.device)
    place = place.clamp(max=spectrum.shape[-1] - 1)  # rounding may put the last one a hair beyond
    now, blend = place.long(), place.frac().to(spectrum.real.dtype)
    spectrum = F.pad(spectrum, (0, 1))
    magnitude = spectrum.abs()
    unit = torch.where(magnitude > _SILENCE, spectrum / magnitude.clamp(min=_SILENCE), 1)
    advance = (unit[..., 1:] * unit[..., :-1].conj())[..., now[:-1]]
    phasor = torch.cat([unit[..., :1], advance], -1).cumprod(-1)
    return (magnitude[..., now] * (1 - blend) + magnitude[..., now + 1] * blend) * phasor


@dataclass(frozen=True)
class Tempo:
    """Change the tempo of a stem, uniformly between two rates."""

    min_rate: float = 0.88
    max_rate: float = 1.12
    probability: float = 0.2

    def __post_init__(self) -> None:
        check_probability(self.probability)
        check_ratios(self.min_rate, self.max_rate, "rate")

    def draw(self, generator: Generator) -> float:
        """The rate."""
        return uniform(self.min_rate, self.max_rate, generator)

    def input_samples(self, output_samples: int, drawn: float, sample_rate_hz: int) -> int:
        """As many samples more as the music runs faster."""
        return ceil(output_samples * drawn)

    def apply(self, audio: Tensor, drawn: float, sample_rate_hz: int) -> Tensor:
        """See :func:`tempo`."""
        return tempo(audio, drawn)
