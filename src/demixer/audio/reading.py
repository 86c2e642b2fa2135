"""Any audio file as a stream of blocks: soundfile decodes what it knows, PyAV everything else."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import soundfile
import torch
from torch import Tensor

from demixer.audio.containers import CONTAINER_SUFFIXES, MPEG_SUFFIXES, ContainerReader
from demixer.audio.truncation import is_chained, missing_end
from demixer.errors import UserError, one_line

# fmt: off
SOUNDFILE_SUFFIXES = (
    ".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".caf",
)
# fmt: on
AUDIO_SUFFIXES = frozenset(SOUNDFILE_SUFFIXES + CONTAINER_SUFFIXES)
UNKNOWN_FRAMES = 1 << 62  # libsndfile's length for streams that do not tell it is 2⁶³ − 1
HEADER_BYTES = 1 << 12  # a file of this size, or less, may well hold no samples
RATES_HZ = range(1_000, 1_000_001)


class AudioReader(Protocol):
    """An open audio file.

    Attributes:
        sample_rate_hz: its sample rate.
        channels: its C.
        frames: its length in samples as the header tells it, or None.
        frames_are_estimated: from the bit rate of its beginning, as where raw AAC has no header; they may be far off.
        damage: after reading, what stopped it before the file's end, or None.
    """

    sample_rate_hz: int
    channels: int
    frames: int | None
    frames_are_estimated: bool
    damage: str | None

    def seek(self, seconds: float) -> None:
        """Let the next ``blocks`` start there: to the sample, as far as a container's timestamps tell it."""

    def blocks(self, frames: int) -> Iterator[Tensor]:
        """The file from its start on: (C, 1 … ``frames``) each."""

    def close(self) -> None: ...


Reader = TypeVar("Reader", bound=AudioReader)


@contextmanager
def open_audio(path: Path) -> Iterator[AudioReader]:
    """Open the first audio stream of a file.

    Raises:
        UserError: the file cannot be opened or decoded, or its sample rate is impossible; the message is the reason
            without the file's name.
    """
    with closing(_opened(path, _open)) as reader:
        _check_rate(reader)
        yield reader


@contextmanager
def open_streams(path: Path, whole_frames: bool = False) -> Iterator[list[AudioReader]]:
    """Open every audio stream of a container, in its order; each is read on its own, from the start on.

    Args:
        path: the file.
        whole_frames: whether what the encoder added to fill its last frame is kept.

    Raises:
        UserError: as :func:`open_audio`.
    """
    with ExitStack() as stack:

        def stream(number: int) -> ContainerReader:
            reader = _opened(path, lambda path: ContainerReader(path, number, whole_frames))
            _check_rate(stack.enter_context(closing(reader)))
            return reader

        first = stream(0)
        yield [first, *map(stream, range(1, first.streams))]


def _opened(path: Path, opener: Callable[[Path], Reader]) -> Reader:
    """The reader that ``opener`` makes of a path, if that is a file with something in it."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UserError("it is a folder, a pipe or a device: give a file")
        if status.st_size == 0:
            raise UserError("the file is empty")
        path.open("rb").close()
        return opener(path)
    except OSError as error:
        raise UserError(error.strerror or one_line(error)) from error


def _check_rate(reader: AudioReader) -> None:
    if reader.sample_rate_hz not in RATES_HZ:
        raise UserError(
            f"its sample rate of {reader.sample_rate_hz} Hz is none of sound (1 kHz to 1 MHz): export it again"
        )


def _open(path: Path) -> AudioReader:
    # libsndfile ends an mp3 of variable bit rate that has no Xing header where a guess from its first frames lies
    # (test_mp3_without_a_header), and remarks on damage on the terminal.
    if path.suffix.lower() not in MPEG_SUFFIXES:
        with suppress(soundfile.LibsndfileError):
            reader = SoundFileReader(path)
            if not _reads_too_little(reader, path):
                return reader
            reader.close()
    return ContainerReader(path)


def _reads_too_little(reader: AudioReader, path: Path) -> bool:
    """Whether libsndfile would lose some of a file.

    Of FLAC without a length that is its end, of several Ogg files joined to one all but the first, and of WAV whose
    size was never filled in everything.
    """
    if reader.frames is None or is_chained(path):
        return True
    return reader.frames == 0 and path.stat().st_size > HEADER_BYTES


class SoundFileReader:
    """What libsndfile decodes: wav, flac, ogg, opus, aiff and more."""

    def __init__(self, path: Path) -> None:
        self.file = soundfile.SoundFile(os.fsencode(path))
        self.sample_rate_hz, self.channels = self.file.samplerate, self.file.channels
        self.frames: int | None = self.file.frames if self.file.frames < UNKNOWN_FRAMES else None
        self.frames_are_estimated = False
        self.damage: str | None = None
        self.missing_end = missing_end(path)

    def seek(self, seconds: float) -> None:
        self.file.seek(min(round(seconds * self.sample_rate_hz), self.file.frames))

    def blocks(self, frames: int) -> Iterator[Tensor]:
        received = self.file.tell()
        try:
            while len(samples := self.file.read(frames, dtype="float32", always_2d=True)):
                received += len(samples)
                yield torch.from_numpy(samples.T.copy())
        except soundfile.LibsndfileError as error:
            self.damage = error.error_string.removeprefix("Error : ").rstrip(".")
        if self.damage is None and received < self.file.frames:
            self.damage = f"its header tells of {self.file.frames / self.sample_rate_hz:.1f} s"
        if self.damage is None and received:
            self.damage = self.missing_end

    def close(self) -> None:
        self.file.close()
