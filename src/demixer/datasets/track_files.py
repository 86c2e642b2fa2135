"""A song's files: what their headers tell, how they are made fit for each other, how a part of a source is read."""

import logging
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import soundfile
import torch
import torch.nn.functional as F
from torch import Tensor

from demixer.audio import read_audio
from demixer.errors import UserError

LENGTH_SECONDS, LENGTH_SHARE = 0.1, 0.01  # how far the lengths of what belongs together may differ

Paths = Mapping[str, tuple[Path, ...]]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Track:
    """A song.

    Args:
        name: Its name.
        paths: The files whose sum each source is.
        frames: The length of its longest file; the others are taken to end in silence.
        sample_rate_hz: Of all its files.
        root: The number of the dataset folder in which it was found.
        ends: The length of each file that ends before the song does.
    """

    name: str
    paths: Paths
    frames: int
    sample_rate_hz: int
    root: int = 0
    ends: Mapping[Path, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Header:
    """What a file tells of itself."""

    frames: int
    sample_rate_hz: int
    channels: int


def read_source(track: Track, source: str, start: int = 0, stop: int | None = None) -> Tensor:
    """Samples ``start`` to ``stop`` (None: the end) of a source as (2, stop − start), at the track's rate.

    Several files are summed, a mono file is heard on both channels, and a file that has ended is silent.

    Raises:
        UserError: a file has vanished, is damaged, or is shorter than it was when the songs were found.
    """
    stop = track.frames if stop is None else stop
    parts = (_read_file(path, start, stop, track.ends.get(path, track.frames)) for path in track.paths[source])
    total = next(parts)
    for part in parts:
        total = total + part
    return total


def same_length(frames: int, other: int, sample_rate_hz: int) -> bool:
    """Whether two lengths pass for one: they differ by at most a tenth of a second, or 1 % of the longer one."""
    return abs(frames - other) <= max(LENGTH_SECONDS * sample_rate_hz, LENGTH_SHARE * max(frames, other))


def check_tracks(songs: Mapping[str, Paths], ragged: Collection[str] = ()) -> list[Track]:
    """Read the header of every file of ``{song: {source: paths}}``; all of a song must have one rate and length.

    Mono files, and lengths that :func:`same_length` lets pass, are told in a line each and made fit.

    Args:
        songs: The files.
        ragged: Songs whose files may have any length, because their dataset publishes them so.

    Raises:
        UserError: one message that lists every bad file with its reason.
    """
    tracks: list[Track] = []
    problems: list[str] = []
    mono: list[Path] = []
    short: dict[Path, int] = {}
    for name, paths in songs.items():
        headers: dict[Path, Header] = {}
        for path in (path for files in paths.values() for path in files):
            try:
                headers[path] = _read_header(path)
            except ValueError as reason:
                problems.append(f"`{path}`: {reason}")
        problems += _misfits(headers, name in ragged)
        mono += [path for path, header in headers.items() if header.channels == 1]
        if headers:
            frames = max(header.frames for header in headers.values())
            ends = {path: header.frames for path, header in headers.items() if header.frames < frames}
            short |= {} if name in ragged else {path: frames - end for path, end in ends.items()}
            tracks.append(Track(name, paths, frames, next(iter(headers.values())).sample_rate_hz, ends=ends))
    if problems:
        raise UserError(f"{len(problems)} bad file(s) in the dataset:\n" + ";\n".join(problems))
    if mono:
        log.warning("%d mono file(s) are heard on both channels, the first is `%s`", len(mono), mono[0])
    if short:
        longest = "%d file(s) end up to %d samples before their song and are taken to end in silence, the first is `%s`"
        log.warning(longest, len(short), max(short.values()), next(iter(short)))
    return tracks


def _read_file(path: Path, start: int, stop: int, end: int) -> Tensor:
    frames = max(0, min(stop, end) - start)
    audio = read_audio(path, start, frames)[0] if frames else torch.zeros(2, 0)
    if audio.shape[-1] != frames:
        raise UserError(f"`{path}` ends at sample {start + audio.shape[-1]}, it was longer when the songs were found")
    audio = audio.expand(2, -1)
    return F.pad(audio, (0, stop - start - frames)) if frames < stop - start else audio


def _read_header(path: Path) -> Header:
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"cannot be read ({error})") from error
    if info.frames == 0:
        raise ValueError("is empty")
    if info.channels not in (1, 2):
        raise ValueError(f"has {info.channels} channels, not 1 or 2")
    return Header(info.frames, info.samplerate, info.channels)


def _misfits(headers: Mapping[Path, Header], ragged: bool) -> Iterator[str]:
    """The files whose rate, or length unless ``ragged``, differs from what most files of their song have."""
    values = [(0 if ragged else header.frames, header.sample_rate_hz) for header in headers.values()]
    frames, rate_hz = max(values, key=values.count, default=(0, 0))
    for path, header in headers.items():
        fits = ragged or same_length(header.frames, frames, rate_hz)
        if header.sample_rate_hz != rate_hz or not fits:
            have = f"has {header.frames} frames at {header.sample_rate_hz} Hz"
            yield f"`{path}`: {have}, its siblings {f'{frames} at ' if frames else ''}{rate_hz} Hz"
