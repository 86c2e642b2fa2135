"""Songs without stems: whatever audio files lie in some folders, read in short pieces."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from demixer.audio import AUDIO_SUFFIXES, open_audio, resample
from demixer.data.index import Segment
from demixer.data.pools import SegmentPool
from demixer.data.randomness import integer
from demixer.data.stems import DataError
from demixer.errors import UserError


@dataclass(frozen=True)
class PlainSong:
    """A file that holds a mixture."""

    path: Path
    seconds: float


def find_plain_songs(roots: Sequence[Path | str]) -> list[PlainSong]:
    """Every audio file under ``roots``, at any depth, sorted, and each one's header checked.

    Raises:
        UserError: a root does not exist, no song is found, or files are bad (all listed).
    """
    songs: list[PlainSong] = []
    problems: list[str] = []
    for path in (path for root in map(Path, roots) for path in _audio_files(root)):
        try:
            songs.append(_check(path))
        except UserError as reason:
            problems.append(f"`{path}`: {reason}")
    if problems:
        raise UserError(f"{len(problems)} bad file(s) among the unlabelled songs:\n" + ";\n".join(problems))
    if not songs:
        where = ", ".join(f"`{root}`" for root in roots)
        raise UserError(f"no unlabelled songs in {where}: known are {' '.join(sorted(AUDIO_SUFFIXES))}")
    return songs


class PlainSongs:
    """Random crops of songs, every second of all songs alike.

    Args:
        songs: What :func:`find_plain_songs` found.
        sample_rate_hz: The model's; songs at another rate are resampled as they are read.
        crop_samples: Length of a crop.
    """

    def __init__(self, songs: Sequence[PlainSong], sample_rate_hz: int, crop_samples: int) -> None:
        segments = [Segment(str(song.path), 0, max(1, round(song.seconds * sample_rate_hz))) for song in songs]
        self._pool = SegmentPool(segments, by_duration=True)
        self.sample_rate_hz, self.crop_samples = sample_rate_hz, crop_samples

    def crop(self, generator: Generator) -> tuple[str, Tensor]:
        """The song's file and (2, crop_samples) of it, zeros where it has ended."""
        song = self._pool.draw(generator)
        start = integer(0, max(0, song.end - self.crop_samples), generator)
        return song.track, self._read(Path(song.track), start / self.sample_rate_hz)

    def _read(self, path: Path, start_seconds: float) -> Tensor:
        try:
            with open_audio(path) as reader:
                frames = -(-self.crop_samples * reader.sample_rate_hz // self.sample_rate_hz)
                reader.seek(start_seconds)
                audio = next(reader.blocks(frames), torch.zeros(reader.channels, 0))
                audio = resample(audio, reader.sample_rate_hz, self.sample_rate_hz)[:, : self.crop_samples]
        except UserError as error:
            raise DataError(f"`{path}`: {error}") from error
        return F.pad(audio, (0, self.crop_samples - audio.shape[-1])).expand(2, -1)


def _audio_files(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        raise UserError(f"folder of unlabelled songs `{root}` does not exist")
    for folder, children, files in os.walk(root, followlinks=True):
        children[:] = sorted(child for child in children if not child.startswith("."))
        yield from (Path(folder, file) for file in sorted(files) if _is_song(file))


def _is_song(file: str) -> bool:
    return not file.startswith(".") and Path(file).suffix.lower() in AUDIO_SUFFIXES


def _check(path: Path) -> PlainSong:
    with open_audio(path) as reader:
        if reader.channels > 2:
            raise UserError(f"has {reader.channels} channels, more than 2")
        if not reader.frames:
            raise UserError("is empty, or does not tell how long it is")
        return PlainSong(path, reader.frames / reader.sample_rate_hz)
