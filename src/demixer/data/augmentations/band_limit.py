"""Treble that is missing, as in old recordings, low bit rates and upsampled songs."""

from dataclasses import dataclass
from math import inf

import torch
from torch import Generator, Tensor

from demixer.data.augmentations.checks import check_probability
from demixer.data.randomness import happens, uniform

_TRANSITION = 0.9  # of the cutoff, where the fall begins; half a cosine, whose ringing is over in milliseconds


def band_limit(audio: Tensor, cutoff_hz: Tensor, sample_rate_hz: int) -> Tensor:
    """Take everything from ``cutoff_hz`` (B, S) on out of the sources (B, S, C, L); inf: nothing."""
    limited = cutoff_hz.isfinite().any(1)
    if not limited.any():
        return audio
    samples, some = audio.shape[-1], cutoff_hz[limited].to(audio)[..., None, None]
    frequencies_hz = torch.fft.rfftfreq(samples, 1 / sample_rate_hz, device=audio.device)
    place = ((frequencies_hz / some - _TRANSITION) / (1 - _TRANSITION)).clamp(0, 1)
    gains = (1 + torch.cos(torch.pi * place)) / 2
    changed = audio.clone()
    changed[limited] = torch.fft.irfft(torch.fft.rfft(audio[limited]) * gains, samples)
    return changed


@dataclass(frozen=True)
class BandLimit:
    """Low-pass an example as a whole, all its sources and so the mixture alike, at a cutoff uniform in octaves."""

    min_cutoff_hz: float = 4000.0
    max_cutoff_hz: float = 18000.0
    probability: float = 0.1

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if not 0 < self.min_cutoff_hz <= self.max_cutoff_hz:
            raise ValueError(
                f"`min_cutoff_hz` (={self.min_cutoff_hz}) and `max_cutoff_hz` (={self.max_cutoff_hz}) must be ordered"
                " and above 0"
            )

    def draw(self, sources: int, generator: Generator) -> Tensor:
        """One cutoff in Hz for all sources (S,); inf where this example is left alone."""
        chosen = bool(happens(self.probability, 1, generator))
        octaves = uniform(0, 1, generator)
        cutoff_hz = self.min_cutoff_hz * (self.max_cutoff_hz / self.min_cutoff_hz) ** octaves
        return torch.full((sources,), cutoff_hz if chosen else inf)

    def apply(self, audio: Tensor, drawn: Tensor, sample_rate_hz: int) -> Tensor:
        """See :func:`band_limit`."""
        return band_limit(audio, drawn, sample_rate_hz)
