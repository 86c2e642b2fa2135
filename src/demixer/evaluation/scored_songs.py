"""What can be scored: the songs of a dataset's folder, and the tracks of the package musdb."""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from demixer.datasets.track_files import Track, read_source


class ScoredSong(Protocol):
    """A song with true sources.

    Attributes:
        name: what it is called in the results.
        sample_rate_hz: of all its waveforms.
        sources: the names of the sources that it has.
    """

    name: str
    sample_rate_hz: int
    sources: Collection[str]

    def mixture(self) -> Tensor:
        """The waveform (C, L) that is separated."""

    def source(self, name: str) -> Tensor:
        """The true waveform (C, L) of one of ``sources``."""


class MusdbTrack(Protocol):
    """What is asked of a track of ``musdb.DB``, which is not imported here: that needs the ffmpeg program.

    Attributes:
        name: what the song is called.
        rate: its file's sample rate in Hz.
        audio: the mixture (L, C), read anew each time.
        targets: the sources by name, also sums of several; each has an ``audio`` (L, C).
    """

    name: str
    rate: float
    audio: np.ndarray
    targets: Mapping[str, Any]


def scored_song(track: Track | MusdbTrack) -> ScoredSong:
    """A track as a song to score: one of our own reader's, or one of ``musdb.DB``."""
    return _FolderSong(track) if isinstance(track, Track) else _MusdbSong(track)


class _FolderSong:
    def __init__(self, track: Track) -> None:
        self.name, self.sample_rate_hz, self.track = track.name, track.sample_rate_hz, track
        self.sources = [name for name in track.paths if name != "mixture"]

    def mixture(self) -> Tensor:
        if "mixture" in self.track.paths:
            return self.source("mixture")
        return torch.stack([self.source(name) for name in self.sources]).sum(0)

    def source(self, name: str) -> Tensor:
        return read_source(self.track, name)


class _MusdbSong:
    def __init__(self, track: MusdbTrack) -> None:
        self.name, self.track = track.name, track
        # musdb.DB(sample_rate=…) resamples the audio, and `rate` stays the file's
        self.sample_rate_hz = round(getattr(track, "sample_rate", None) or track.rate)
        self.sources = list(track.targets)

    def mixture(self) -> Tensor:
        return _channels_first(self.track.audio)

    def source(self, name: str) -> Tensor:
        return _channels_first(self.track.targets[name].audio)


def _channels_first(samples: np.ndarray) -> Tensor:
    """(L, C) in musdb's float64 as (C, L) in float32."""
    return torch.from_numpy(np.ascontiguousarray(samples.T, dtype=np.float32))
