"""Crops of the songs' stems, at the model's sample rate, from disk (seeking) or from memory."""

from collections.abc import Sequence
from math import gcd
from pathlib import Path

import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor

from demixer.audio import read_audio, resample
from demixer.data.tracks import Track
from demixer.errors import UserError

_INT16_SCALE = 32768  # soundfile maps a 16-bit sample k to k / 32768, so this round trip is exact
_CONTEXT_BLOCKS = 2


class DataError(UserError):
    """A file that fails while training reads it.

    A DataLoader re-raises a worker's exception with the worker's whole traceback as its message; only the last line
    of it, the message that was raised, is kept here.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition(f"{DataError.__name__}: ")[2].strip())


class Stems:
    """The sources of some songs as random-access audio.

    Args:
        tracks: The songs.
        sources: Which of their files are read.
        sample_rate_hz: The rate of everything that is returned; songs at another rate are resampled when read.
        preload: Keep all stems in memory (16-bit files as int16, 10 MB a stereo minute and stem; others as float32,
            21 MB). Worker processes are forks and share that memory, since nobody writes to it.
    """

    def __init__(
        self, tracks: Sequence[Track], sources: Sequence[str], sample_rate_hz: int, preload: bool = False
    ) -> None:
        self.tracks = {track.name: track for track in tracks}
        self.sample_rate_hz = sample_rate_hz
        self._memory: dict[Path, Tensor] = {}
        if preload:
            paths = [(track, track.paths[source]) for track in tracks for source in sources if source in track.paths]
            self._memory = {path: self._load(track, path) for track, path in paths}

    def frames(self, song: str) -> int:
        """The song's length in samples at the model's rate."""
        track = self.tracks[song]
        return -(-track.frames * self.sample_rate_hz // track.sample_rate_hz)

    def has(self, song: str, source: str) -> bool:
        """Whether the song has a file of this source."""
        return source in self.tracks[song].paths

    def read(self, song: str, source: str, start: int, length: int) -> Tensor:
        """Samples ``start`` to ``start + length`` as (C, length) float32, zeros where the song has ended.

        Raises:
            DataError: the file has vanished, is damaged, or is shorter than it was.
        """
        track, path = self.tracks[song], self.tracks[song].paths[source]
        stop = min(start + length, self.frames(song))
        if path in self._memory:
            audio = _as_float(self._memory[path][:, start:stop])
        elif track.sample_rate_hz == self.sample_rate_hz:
            audio = _read_exactly(path, start, stop - start)
        else:
            audio = self._read_resampled(track, path, start, stop)
        return F.pad(audio, (0, length - audio.shape[-1]))  # a copy, also where nothing is added

    def _read_resampled(self, track: Track, path: Path, start: int, stop: int) -> Tensor:
        """What the crop would be if the whole file were resampled.

        The resampling filter repeats every ``to`` output samples, ``per`` input samples: whole such blocks are read,
        with blocks before and after so that the filter (6 periods of the lower rate wide) never sees the cut.
        """
        divisor = gcd(track.sample_rate_hz, self.sample_rate_hz)
        per, to = track.sample_rate_hz // divisor, self.sample_rate_hz // divisor
        context = _CONTEXT_BLOCKS * -(-16 // min(per, to))
        first = max(0, start // to - context)
        last = -(-stop // to) + context
        frames = min(last * per, track.frames) - first * per
        audio = resample(_read_exactly(path, first * per, frames), per, to)
        return audio[:, start - first * to : stop - first * to]

    def _load(self, track: Track, path: Path) -> Tensor:
        audio = resample(_read_exactly(path, 0, track.frames), track.sample_rate_hz, self.sample_rate_hz)
        exact = track.sample_rate_hz == self.sample_rate_hz and soundfile.info(str(path)).subtype == "PCM_16"
        return (audio * _INT16_SCALE).round_().to(torch.int16) if exact else audio


def _as_float(audio: Tensor) -> Tensor:
    return audio.float() / _INT16_SCALE if audio.dtype == torch.int16 else audio


def _read_exactly(path: Path, start: int, frames: int) -> Tensor:
    try:
        audio, _ = read_audio(path, start, frames)
    except UserError as error:
        raise DataError(str(error)) from error
    if audio.shape[-1] != frames:
        raise DataError(f"`{path}` ends at sample {start + audio.shape[-1]}, it was longer when training began")
    return audio
