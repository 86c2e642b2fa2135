"""Another colour: a smooth random gain over frequency."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from demixer.data.augmentations.checks import check_probability


def equaliser(audio: Tensor, gains_db: Tensor, centres_hz: Sequence[float], sample_rate_hz: int) -> Tensor:
    """Filter (C, L) by a gain that passes through ``gains_db`` (N,) at ``centres_hz`` and is smooth between them.

    Between two centres the gain in dB follows half a cosine over log frequency; outside it stays at the last value.
    The filter has zero phase: one multiplication of the crop's spectrum, since so smooth a gain rings only for
    milliseconds.
    """
    frames = audio.shape[-1]
    frequencies_hz = torch.fft.rfftfreq(frames, 1 / sample_rate_hz, device=audio.device)
    curve_db = _smooth_curve(frequencies_hz, gains_db.to(audio), torch.tensor(centres_hz).to(audio))
    return torch.fft.irfft(torch.fft.rfft(audio) * 10 ** (curve_db / 20), frames)


def _smooth_curve(frequencies_hz: Tensor, gains_db: Tensor, centres_hz: Tensor) -> Tensor:
    last = len(centres_hz) - 1
    right = torch.searchsorted(centres_hz, frequencies_hz).clamp(1, last)
    low, high = centres_hz[right - 1].log2(), centres_hz[right].log2()
    place = ((frequencies_hz.clamp(min=1e-3).log2() - low) / (high - low)).clamp(0, 1)
    blend = (1 - torch.cos(torch.pi * place)) / 2
    return gains_db[right - 1] * (1 - blend) + gains_db[right] * blend


@dataclass(frozen=True)
class Equaliser:
    """A random equaliser: at each centre frequency a gain uniform in ±``max_gain_db``."""

    max_gain_db: float = 6.0
    centres_hz: Sequence[float] = (80.0, 400.0, 2000.0, 8000.0)
    probability: float = 0.3

    def __post_init__(self) -> None:
        check_probability(self.probability)
        centres = list(self.centres_hz)
        if len(centres) < 2 or centres[0] <= 0 or centres != sorted(set(centres)):
            raise ValueError(f"`centres_hz` (={centres}) must be two or more rising frequencies above 0")

    def draw(self, generator: Generator) -> Tensor:
        """Gains in dB, one for each centre."""
        return self.max_gain_db * (2 * torch.rand(len(self.centres_hz), generator=generator) - 1)

    def input_samples(self, output_samples: int, drawn: Tensor, sample_rate_hz: int) -> int:
        """The length stays."""
        return output_samples

    def apply(self, audio: Tensor, drawn: Tensor, sample_rate_hz: int) -> Tensor:
        """See :func:`equaliser`."""
        return equaliser(audio, drawn, self.centres_hz, sample_rate_hz)
