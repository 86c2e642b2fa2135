"""Another room: the tail of reflections that decays behind every sound."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from demixer.data.augmentations.checks import check_probability
from demixer.data.augmentations.equaliser import equaliser
from demixer.data.randomness import integer, uniform

_DAMPING_HZ = 2000.0, 8000.0  # between soft furniture and tiles
_DAMPING_DB = -12.0  # two octaves above it
_FFT_STEP = 4096  # lengths with many factors are fast
_LOWEST_HZ = 200.0  # below it rooms are mixed without reverberation, or the bass would be mud


@dataclass(frozen=True)
class Room:
    """What a room does to a sound.

    Args:
        decay_seconds: until the reflections have fallen by 60 dB.
        delay_seconds: of the first reflection.
        damping_hz: above it reflections are darker.
        wet_db: energy of all reflections of an impulse over its own.
        seed: of the reflections' pattern.
    """

    decay_seconds: float
    delay_seconds: float
    damping_hz: float
    wet_db: float
    seed: int


def reverb(audio: Tensor, room: Room, sample_rate_hz: int) -> Tensor:
    """Add a room's reflections to (C, L): the length stays, the tail beyond it is lost."""
    reflections = room_response(room, audio.shape[0], sample_rate_hz).to(audio)
    samples = audio.shape[-1] + reflections.shape[-1]  # so that the end does not come round to the beginning
    samples = -(-samples // _FFT_STEP) * _FFT_STEP
    wet = torch.fft.irfft(torch.fft.rfft(audio, samples) * torch.fft.rfft(reflections, samples), samples)
    return audio + wet[..., : audio.shape[-1]]


def room_response(room: Room, channels: int, sample_rate_hz: int) -> Tensor:
    """The reflections of an impulse (C, tail): noise, another on each side, that decays and is filtered.

    Moorer 1979, "About this reverberation business": a room's late reflections are as good as such noise.
    """
    tail = tail_samples(room, sample_rate_hz)
    noise = torch.randn(channels, tail, generator=Generator().manual_seed(room.seed))
    seconds = torch.arange(tail) / sample_rate_hz - room.delay_seconds
    decaying = noise * torch.where(seconds >= 0, 10 ** (-3 * seconds / room.decay_seconds), 0)
    centres_hz = (_LOWEST_HZ / 2, _LOWEST_HZ, room.damping_hz, 4 * room.damping_hz)
    coloured = equaliser(decaying, torch.tensor([-24.0, 0.0, 0.0, _DAMPING_DB]), centres_hz, sample_rate_hz)
    energy = coloured.square().sum(-1, keepdim=True)
    return coloured * (10 ** (room.wet_db / 10) / energy).sqrt()


def tail_samples(room: Room, sample_rate_hz: int) -> int:
    """How long the reflections last, down to −60 dB."""
    return round((room.delay_seconds + room.decay_seconds) * sample_rate_hz)


@dataclass(frozen=True)
class Reverb:
    """Put a stem into a random room; what sounded before the crop still reverberates in it."""

    min_decay_seconds: float = 0.1
    max_decay_seconds: float = 0.8
    max_delay_seconds: float = 0.02
    min_wet_db: float = -20.0
    max_wet_db: float = -6.0
    probability: float = 0.2

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if not 0 < self.min_decay_seconds <= self.max_decay_seconds:
            raise ValueError(
                f"`min_decay_seconds` (={self.min_decay_seconds}) and `max_decay_seconds` (={self.max_decay_seconds})"
                " must be ordered and above 0"
            )
        if self.max_delay_seconds < 0 or self.min_wet_db > self.max_wet_db:
            raise ValueError(
                f"`max_delay_seconds` (={self.max_delay_seconds}) must be 0 or more, and `min_wet_db`"
                f" (={self.min_wet_db}) at most `max_wet_db` (={self.max_wet_db})"
            )

    def draw(self, generator: Generator) -> Room:
        """A room."""
        return Room(
            uniform(self.min_decay_seconds, self.max_decay_seconds, generator),
            uniform(0, self.max_delay_seconds, generator),
            uniform(*_DAMPING_HZ, generator),
            uniform(self.min_wet_db, self.max_wet_db, generator),
            integer(0, 2**31 - 1, generator),
        )

    def input_samples(self, output_samples: int, drawn: Room, sample_rate_hz: int) -> int:
        """A tail more: what is heard before the crop begins."""
        return output_samples + tail_samples(drawn, sample_rate_hz)

    def apply(self, audio: Tensor, drawn: Room, sample_rate_hz: int) -> Tensor:
        """See :func:`reverb`; the first tail of the audio is only heard in what follows it."""
        return reverb(audio, drawn, sample_rate_hz)[..., tail_samples(drawn, sample_rate_hz) :]
