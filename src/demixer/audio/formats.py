"""The formats that stems are written in, and how samples become their integers."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from demixer.errors import UserError

WAV_LIMIT_BYTES = 4_000_000_000  # a WAV header counts up to 2³² bytes; beyond, RF64 is the same with 64 bits
WRITE_SAMPLES = 1 << 15  # libsndfile's Vorbis encoder keeps what it is given on the stack, and crashes on millions


@dataclass(frozen=True)
class AudioFormat:
    """A file format as soundfile names it.

    Args:
        suffix: of the file's name.
        container: soundfile's format.
        subtype: soundfile's subtype.
        bits: of an integer format whose samples come back exactly, or None.
        clips: whether samples beyond ±1 are lost.
        settings: further arguments of soundfile: how much is given up for size.
    """

    suffix: str
    container: str
    subtype: str
    bits: int | None = None
    clips: bool = True
    settings: dict[str, float | str] = field(default_factory=dict)

    @property
    def highest(self) -> float:
        """The highest sample that does not clip (the lowest is −1): integers end one step below 1."""
        return 1 - 2.0 ** (1 - self.bits) if self.bits else 1.0

    def quantise(self, samples: Tensor) -> Tensor:
        """Round to the samples that the format can hold, but for its limits; exact, as float32 holds 24 bits."""
        if self.bits is None:
            return samples
        steps = 2.0 ** (self.bits - 1)
        return (samples * steps).round() / steps

    def clamp(self, samples: Tensor) -> Tensor:
        """Cut what is beyond the format's limits."""
        return samples.clamp(-1.0, self.highest) if self.clips else samples

    def check_rate(self, sample_rate_hz: int, channels: int) -> None:
        """Raise a :class:`UserError` where the format cannot hold this rate (mp3 above 48 kHz)."""
        try:
            soundfile.SoundFile(io.BytesIO(), "w", **self._open_arguments(sample_rate_hz, channels)).close()
        except soundfile.LibsndfileError as error:
            raise UserError(f"{self.suffix[1:]} cannot hold {sample_rate_hz} Hz: choose another `--format`") from error

    def _open_arguments(self, sample_rate_hz: int, channels: int, large: bool = False) -> dict[str, object]:
        container = "RF64" if large and self.container == "WAV" else self.container
        kind = {"format": container, "subtype": self.subtype}
        return {"samplerate": sample_rate_hz, "channels": channels, **kind, **self.settings}

    @contextmanager
    def open(
        self, path: Path, sample_rate_hz: int, channels: int, frames: int | None = None
    ) -> Iterator[Callable[[Tensor], None]]:
        """Open a file for writing; give the function that appends a block (C, any length), cut to the limits.

        Args:
            path: the file.
            sample_rate_hz: its sample rate.
            channels: C.
            frames: how many samples it will have, more or less, if that is known.
        """
        large = (frames or 0) * channels * 4 > WAV_LIMIT_BYTES
        arguments = self._open_arguments(sample_rate_hz, channels, large)
        try:
            with soundfile.SoundFile(os.fsencode(path), "w", **arguments) as file:
                yield lambda block: self._append(file, block)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.strip(". ")
            raise UserError(f"its stems cannot be written ({reason}): is the disk full?") from error

    def _append(self, file: soundfile.SoundFile, block: Tensor) -> None:
        samples = self._integers(self.clamp(self.quantise(block))).T.contiguous()
        for part in samples.split(WRITE_SAMPLES):
            file.write(part.numpy())

    def overshoot(self, samples: Tensor) -> float:
        """The loudest sample over the loudest that does not clip."""
        return max(samples.max().item() / self.highest, -samples.min().item()) if samples.numel() else 0.0

    def _integers(self, samples: Tensor) -> Tensor:
        """The format's own integers: libsndfile would round down. Those of 24 bits are the upper ones of 32."""
        if self.bits is None:
            return samples
        scaled = samples.double() * 2.0 ** (self.bits - 1)
        return scaled.to(torch.int16) if self.bits == 16 else scaled.to(torch.int32) * 2 ** (32 - self.bits)


BEST_MP3: dict[str, float | str] = {"bitrate_mode": "VARIABLE", "compression_level": 0.0}
FORMATS = {
    "wav16": AudioFormat(".wav", "WAV", "PCM_16", bits=16),
    "wav24": AudioFormat(".wav", "WAV", "PCM_24", bits=24),
    "wav32f": AudioFormat(".wav", "WAV", "FLOAT", clips=False),
    "flac": AudioFormat(".flac", "FLAC", "PCM_24", bits=24),
    "mp3": AudioFormat(".mp3", "MP3", "MPEG_LAYER_III", settings=BEST_MP3),
    "ogg": AudioFormat(".ogg", "OGG", "VORBIS", settings={"compression_level": 0.2}),
}
