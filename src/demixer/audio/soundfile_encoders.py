"""What libsndfile writes: WAV, FLAC, MP3 and Ogg Vorbis."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import soundfile
import torch
from torch import Tensor

from demixer.audio.stamps import number_ogg_stream, remove_peak_time
from demixer.errors import UserError

WAV_LIMIT_BYTES = 4_000_000_000  # a WAV header counts up to 2³² bytes; beyond, RF64 is the same with 64 bits
RF64_AUTO_DOWNGRADE = 0x1210  # of libsndfile's sndfile.h; soundfile has no name for it
WRITE_SAMPLES = 1 << 15  # libsndfile's Vorbis encoder keeps what it is given on the stack, and crashes on millions


@dataclass(frozen=True)
class SoundFileEncoder:
    """A lossless format of libsndfile.

    Args:
        container: soundfile's format.
        subtype: soundfile's subtype.
        bits: of its integers; None: it holds floating-point numbers.
    """

    container: str
    subtype: str
    bits: int | None = None

    only_rate_hz: ClassVar[int | None] = None
    bitrates_kbps: ClassVar[tuple[int, int] | None] = None

    def settings(self, sample_rate_hz: int, bitrate_kbps: int | None) -> dict[str, float | str]:
        """Further arguments of soundfile: how much is given up for size."""
        return {}

    def holds_rate(self, sample_rate_hz: int, channels: int) -> bool:
        try:
            soundfile.SoundFile(io.BytesIO(), "w", **self._arguments(sample_rate_hz, channels)).close()
        except soundfile.LibsndfileError:
            return False
        return True

    @contextmanager
    def open(
        self, path: Path, sample_rate_hz: int, channels: int, frames: int | None, bitrate_kbps: int | None
    ) -> Iterator[Callable[[Tensor], None]]:
        """Open a file for writing; give the function that appends a block (C, any length)."""
        large = frames is None or frames * channels * 4 > WAV_LIMIT_BYTES
        arguments = self._arguments(sample_rate_hz, channels, large, bitrate_kbps)
        try:
            with soundfile.SoundFile(os.fsencode(path), "w", **arguments) as file:
                if frames is None:
                    _end_as_wav_where_that_holds_it(file)
                yield lambda block: self._append(file, block)
        except soundfile.LibsndfileError as error:
            reason = error.error_string.strip(". ")
            raise UserError(f"its stems cannot be written ({reason}): is the disk full?") from error
        self.remove_stamp(path)

    def remove_stamp(self, path: Path) -> None:
        """Take out of a file what differs from one writing to the next."""
        if self.bits is None:
            remove_peak_time(path)

    def _arguments(
        self, sample_rate_hz: int, channels: int, large: bool = False, bitrate_kbps: int | None = None
    ) -> dict[str, Any]:
        container = "RF64" if large and self.container == "WAV" else self.container
        kind = {"format": container, "subtype": self.subtype}
        return {
            "samplerate": sample_rate_hz,
            "channels": channels,
            **kind,
            **self.settings(sample_rate_hz, bitrate_kbps),
        }

    def _append(self, file: soundfile.SoundFile, block: Tensor) -> None:
        samples = self._integers(block).T.contiguous()
        for part in samples.split(WRITE_SAMPLES):
            file.write(part.numpy())

    def _integers(self, samples: Tensor) -> Tensor:
        """The format's own integers: libsndfile would round down. Those of 24 bits are the upper ones of 32."""
        if self.bits is None:
            return samples
        scaled = samples.double() * 2.0 ** (self.bits - 1)
        return scaled.to(torch.int16) if self.bits == 16 else scaled.to(torch.int32) * 2 ** (32 - self.bits)


def _end_as_wav_where_that_holds_it(file: soundfile.SoundFile) -> None:
    """Let an RF64 file of less than 4 GB be a WAV file once it is closed; others do not mind."""
    soundfile._snd.sf_command(file._file, RF64_AUTO_DOWNGRADE, soundfile._ffi.NULL, 1)


class Mp3Encoder(SoundFileEncoder):
    """MP3 through LAME: of variable bitrate and its best quality, or of the constant bitrate that was asked for."""

    bitrates_kbps = (64, 320)  # below, LAME leaves out the header that tells where the sound ends
    RANGES_KBPS: ClassVar = {32_000: (32, 320), 16_000: (8, 160), 0: (8, 64)}  # of MPEG 1, 2, 2.5, from so many Hz on

    def settings(self, sample_rate_hz: int, bitrate_kbps: int | None) -> dict[str, float | str]:
        if bitrate_kbps is None:
            return {"bitrate_mode": "VARIABLE", "compression_level": 0.0}
        least, most = next(limits for hz, limits in self.RANGES_KBPS.items() if sample_rate_hz >= hz)
        level = (most - min(bitrate_kbps, most)) / (most - least)  # libsndfile's way to say it
        return {"bitrate_mode": "CONSTANT", "compression_level": level}

    def remove_stamp(self, path: Path) -> None:
        pass


class VorbisEncoder(SoundFileEncoder):
    """Vorbis, whose bitrate is a quality: that of stereo at 44.1 kHz on average."""

    bitrates_kbps = (64, 500)
    QUALITIES_KBPS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)  # of Vorbis's qualities 0 to 10
    HIGHEST_HZ = 200_000  # above, libsndfile's encoder ends the process

    def settings(self, sample_rate_hz: int, bitrate_kbps: int | None) -> dict[str, float | str]:
        if bitrate_kbps is None:
            return {"compression_level": 0.2}
        quality = np.interp(bitrate_kbps, self.QUALITIES_KBPS, np.linspace(0, 1, len(self.QUALITIES_KBPS)))
        return {"compression_level": min(1 - quality.item(), 0.9999)}

    def holds_rate(self, sample_rate_hz: int, channels: int) -> bool:
        return sample_rate_hz <= self.HIGHEST_HZ and super().holds_rate(sample_rate_hz, channels)

    def remove_stamp(self, path: Path) -> None:
        number_ogg_stream(path)
