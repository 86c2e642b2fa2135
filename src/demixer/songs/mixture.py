"""A song's samples as they go into a separator: of the wanted excerpt, in one or two channels, every one a number."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from demixer.audio import AudioReader, open_audio, open_streams
from demixer.errors import UserError
from demixer.separation.checks import MAX_CHANNELS
from demixer.separation.streams import keep_first
from demixer.songs.downmix import downmix_matrix
from demixer.songs.options import Options


class Mixture:
    """An open song.

    Args:
        audio: the file.
        options: which part of it is wanted.
        block_samples: read at once.
        downmix: (2, its channels) to multiply its samples with; None: as they are.

    Attributes:
        channels: C, after the downmix.
        sample_rate_hz: its sample rate.
        seconds: how long the wanted part is, as far as the file tells.
        seconds_are_estimated: whether that may be far off.
        peak: the loudest sample so far.

    Raises:
        UserError: the wanted part begins after the song's end.
    """

    def __init__(self, audio: AudioReader, options: Options, block_samples: int, downmix: Tensor | None = None) -> None:
        self._audio, self._options, self._block_samples, self._downmix = audio, options, block_samples, downmix
        self.channels = audio.channels if downmix is None else len(downmix)
        self.sample_rate_hz, self.peak = audio.sample_rate_hz, 0.0
        whole_seconds = None if audio.frames is None else audio.frames / audio.sample_rate_hz
        if whole_seconds is not None and 0 < options.start_seconds >= whole_seconds:
            if not audio.frames_are_estimated:
                raise UserError(
                    f"it is {whole_seconds:.1f} s long: `--start` (={options.start_seconds:g}) is after its end"
                )
            whole_seconds = None
        ends = [seconds for seconds in (whole_seconds, options.end_seconds) if seconds is not None]
        self.seconds_are_estimated = audio.frames_are_estimated
        self.seconds = min(ends) - options.start_seconds if ends else None

    @property
    def damage(self) -> str | None:
        """What stopped reading before the file's end."""
        return self._audio.damage

    def blocks(self) -> Iterator[Tensor]:
        """(C, any length) each; infinite or undefined samples, which would spread over whole windows, end it.

        Raises:
            UserError: there is such a sample, or none at all.
        """
        start = received = round(self._options.start_seconds * self.sample_rate_hz)
        for block in self._wanted():
            wrong = (~block.isfinite()).any(dim=0).nonzero()
            if len(wrong):
                sample = received + wrong[0].item()
                place = f"sample {sample} (at {sample / self.sample_rate_hz:.3f} s)"
                raise UserError(f"{place} is infinite or not a number: export it again")
            received += block.shape[-1]
            self.peak = max(self.peak, block.abs().max().item())
            yield block if self._downmix is None else self._downmix @ block
        if received == start:
            where = f" after `--start` (={self._options.start_seconds:g})" if start else ""
            raise UserError(f"it cannot be decoded: {self.damage}" if self.damage else f"it holds no samples{where}")

    def _wanted(self) -> Iterator[Tensor]:
        start_seconds, end_seconds = self._options.start_seconds, self._options.end_seconds
        if start_seconds:
            self._audio.seek(start_seconds)
        blocks = self._audio.blocks(self._block_samples)
        if end_seconds is None:
            return blocks
        return keep_first(blocks, round((end_seconds - start_seconds) * self.sample_rate_hz))


def check_channels(channels: int, remedy: str = "") -> None:
    """Raise a :class:`UserError` where a song has more channels than are separated."""
    if channels > MAX_CHANNELS:
        raise UserError(f"it has {channels} channels: mix it down to stereo first{remedy}")


@contextmanager
def open_mixture(path: Path, options: Options, block_samples: int) -> Iterator[Mixture]:
    """Open a song.

    Raises:
        UserError: the file cannot be opened or decoded, has too many channels, or ends before the wanted part; the
            message is the reason alone.
    """
    with open_audio(path) as audio:
        if audio.channels <= MAX_CHANNELS:
            yield Mixture(audio, options, block_samples)
            return
        if not options.downmix:
            check_channels(audio.channels, ", or let `--downmix` do so")
    with open_streams(path) as (audio, *_):  # libsndfile does not tell which channel is which: Ogg's order is another
        yield Mixture(audio, options, block_samples, downmix_matrix(audio.channel_names))
