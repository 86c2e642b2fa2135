"""Crops of the songs' stems, at the model's sample rate, from disk (seeking) or from memory."""

from collections.abc import Sequence
from math import gcd

import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor

from demixer.audio import resample
from demixer.audio.resampling import REACH_SAMPLES
from demixer.data.preload import Held, Key, SharedFile, hold
from demixer.datasets.track_files import Track, read_source
from demixer.errors import UserError

_INT16_SCALE = 32768  # soundfile maps a 16-bit sample k to k / 32768, so this round trip is exact


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
        sources: Which of their sources are read.
        sample_rate_hz: The rate of everything that is returned; songs at another rate are resampled when read.
        preload: Keep all stems in memory (16-bit files as int16, 10 MB a stereo minute and stem; others, and sources
            of several files, as float32, 21 MB). Worker processes are forks and share that memory, since nobody
            writes to it.
        shared: How the training processes of a machine share that memory, too; None: there is one only.
    """

    def __init__(
        self,
        tracks: Sequence[Track],
        sources: Sequence[str],
        sample_rate_hz: int,
        preload: bool = False,
        shared: SharedFile | None = None,
    ) -> None:
        self.tracks = {track.name: track for track in tracks}
        self.sample_rate_hz = sample_rate_hz
        self._memory: dict[Key, Tensor] = {}
        if preload:
            keys = [(track.name, source) for track in tracks for source in sources if source in track.paths]
            held = [Held(key, self.frames(key[0]), self._kept_as(*key)) for key in keys]
            self._memory = hold(held, lambda key: self._load(*key), shared)

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
            DataError: a file has vanished, is damaged, or is shorter than it was.
        """
        track = self.tracks[song]
        stop = min(start + length, self.frames(song))
        if (song, source) in self._memory:
            audio = _as_float(self._memory[song, source][:, start:stop])
        elif track.sample_rate_hz == self.sample_rate_hz:
            audio = _read(track, source, start, stop)
        else:
            audio = self._read_resampled(track, source, start, stop)
        return F.pad(audio, (0, length - audio.shape[-1]))  # a copy, also where nothing is added

    def _read_resampled(self, track: Track, source: str, start: int, stop: int) -> Tensor:
        """What the crop would be if the whole file were resampled.

        Input and output samples stand at the same times every ``per`` and ``to`` samples: whole such blocks are read,
        with so many before and after that the filter does not see the cut.
        """
        divisor = gcd(track.sample_rate_hz, self.sample_rate_hz)
        per, to = track.sample_rate_hz // divisor, self.sample_rate_hz // divisor
        context = -(-REACH_SAMPLES // min(per, to))
        first = max(0, start // to - context)
        last = -(-stop // to) + context
        audio = resample(_read(track, source, first * per, min(last * per, track.frames)), per, to)
        return audio[:, start - first * to : stop - first * to]

    def _kept_as(self, song: str, source: str) -> torch.dtype:
        """Integers where they are exact: one file of 16 bits at the model's rate."""
        track = self.tracks[song]
        path, *others = track.paths[source]
        exact = not others and track.sample_rate_hz == self.sample_rate_hz
        return torch.int16 if exact and soundfile.info(str(path)).subtype == "PCM_16" else torch.float32

    def _load(self, song: str, source: str) -> Tensor:
        track = self.tracks[song]
        audio = resample(_read(track, source, 0, track.frames), track.sample_rate_hz, self.sample_rate_hz)
        return (audio * _INT16_SCALE).round_().to(torch.int16) if self._kept_as(song, source) == torch.int16 else audio


def _as_float(audio: Tensor) -> Tensor:
    return audio.float() / _INT16_SCALE if audio.dtype == torch.int16 else audio


def _read(track: Track, source: str, start: int, stop: int) -> Tensor:
    try:
        return read_source(track, source, start, stop)
    except UserError as error:
        raise DataError(str(error)) from error
