"""The formats that stems are written in, and how samples become their integers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from demixer.audio.container_encoders import ContainerEncoder, StemFileEncoder
from demixer.audio.soundfile_encoders import Mp3Encoder, SoundFileEncoder, VorbisEncoder
from demixer.errors import UserError


@dataclass(frozen=True)
class AudioFormat:
    """A file format.

    Args:
        suffix: of the file's name.
        encoder: writes it.
        bits: of an integer format whose samples come back exactly, or None.
        clips: whether samples beyond ±1 are lost.
    """

    suffix: str
    encoder: SoundFileEncoder | ContainerEncoder
    bits: int | None = None
    clips: bool = True

    @property
    def holds_all(self) -> bool:
        """Whether one file holds a song's mixture and all of its stems."""
        return isinstance(self.encoder, StemFileEncoder)

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

    def overshoot(self, samples: Tensor) -> float:
        """The loudest sample over the loudest that does not clip."""
        return max(samples.max().item() / self.highest, -samples.min().item()) if samples.numel() else 0.0

    def written_rate_hz(self, sample_rate_hz: int) -> int:
        """The sample rate of files of such stems: the same, but for Opus, which has only one."""
        return self.encoder.only_rate_hz or sample_rate_hz

    def check_rate(self, sample_rate_hz: int, channels: int) -> None:
        """Raise a :class:`UserError` where the format cannot hold this rate (mp3 above 48 kHz)."""
        if not self.encoder.holds_rate(sample_rate_hz, channels):
            raise UserError(f"{self.suffix[1:]} cannot hold {sample_rate_hz} Hz: choose another `--format`")

    def check_bitrate(self, bitrate_kbps: int) -> None:
        """Raise a :class:`UserError` where the format has no such bitrate."""
        limits = self.encoder.bitrates_kbps
        if limits is None:
            raise UserError(f"`--bitrate` is for mp3, ogg, m4a and opus: {self.suffix[1:]} loses nothing")
        if not limits[0] <= bitrate_kbps <= limits[1]:
            raise UserError(
                f"`--bitrate` (={bitrate_kbps}) must lie in {limits[0]} … {limits[1]} kbit/s for {self.suffix[1:]}"
            )

    @contextmanager
    def open(
        self,
        path: Path,
        sample_rate_hz: int,
        channels: int,
        frames: int | None = None,
        bitrate_kbps: int | None = None,
    ) -> Iterator[Callable[[Tensor], None]]:
        """Open a file for writing; give the function that appends a block (C, any length), cut to the limits.

        Args:
            path: the file.
            sample_rate_hz: its sample rate.
            channels: C.
            frames: how many samples it will have, more or less, if that is known.
            bitrate_kbps: of a lossy format; None: what is good enough for music.
        """
        with self.encoder.open(path, sample_rate_hz, channels, frames, bitrate_kbps) as write:
            yield lambda block: write(self.clamp(self.quantise(block)))


OPUS_HZ = 48_000
FORMATS = {
    "wav16": AudioFormat(".wav", SoundFileEncoder("WAV", "PCM_16", 16), bits=16),
    "wav24": AudioFormat(".wav", SoundFileEncoder("WAV", "PCM_24", 24), bits=24),
    "wav32f": AudioFormat(".wav", SoundFileEncoder("WAV", "FLOAT"), clips=False),
    "flac": AudioFormat(".flac", SoundFileEncoder("FLAC", "PCM_24", 24), bits=24),
    "mp3": AudioFormat(".mp3", Mp3Encoder("MP3", "MPEG_LAYER_III")),
    "ogg": AudioFormat(".ogg", VorbisEncoder("OGG", "VORBIS")),
    "m4a": AudioFormat(".m4a", ContainerEncoder("ipod", "aac", "fltp", (32, 320), 256, 256)),
    "opus": AudioFormat(".opus", ContainerEncoder("ogg", "libopus", "flt", (16, 510), 192, 256, OPUS_HZ)),
    "stem.m4a": AudioFormat(".stem.m4a", StemFileEncoder("ipod", "aac", "fltp", (32, 320), 256, 256)),
}
