"""Where the crops may come from: the segments in which a source sounds, or whole songs."""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Protocol

from torch import Generator

from demixer.data.index import PARTS, Segment, index_path, read_index
from demixer.data.index_checks import check_index, warn_of_left_out
from demixer.data.randomness import integer, uniform
from demixer.data.stems import Stems
from demixer.datasets.track_files import Track
from demixer.errors import UserError

_TRIES = 16  # to find another song for another source; few songs may leave no choice


class Pool(Protocol):
    """What segments are drawn from."""

    segments: Sequence[Segment]

    def draw(self, generator: Generator, taken: Collection[str] = ()) -> Segment:
        """A segment, if possible of a song that is not in ``taken``."""


class SegmentPool:
    """Segments of songs to draw from.

    Args:
        segments: In samples at the model's rate.
        by_duration: Draw a segment in proportion to its length instead of uniformly.
    """

    def __init__(self, segments: Sequence[Segment], by_duration: bool = False) -> None:
        self.segments = segments
        self._edges = list(accumulate(segment.end - segment.start if by_duration else 1 for segment in segments))

    def draw(self, generator: Generator, taken: Collection[str] = ()) -> Segment:
        """A segment, if possible of a song that is not in ``taken``."""
        for _ in range(_TRIES):
            segment = self.segments[bisect_right(self._edges, integer(0, self._edges[-1] - 1, generator))]
            if segment.track not in taken:
                break
        return segment


class MixedPool:
    """Several pools, of which each draw asks one, by weight; those that are empty or weigh nothing are left out."""

    def __init__(self, pools: Sequence[Pool], weights: Sequence[float]) -> None:
        asked = [(pool, weight) for pool, weight in zip(pools, weights, strict=True) if pool.segments and weight > 0]
        self._pools = [pool for pool, _ in asked]
        self._edges = list(accumulate(weight for _, weight in asked))
        self.segments: Sequence[Segment] = [segment for pool in self._pools for segment in pool.segments]

    def draw(self, generator: Generator, taken: Collection[str] = ()) -> Segment:
        """A segment, if possible of a song that is not in ``taken``; the shares hold whatever is taken."""
        number = bisect_right(self._edges, uniform(0, self._edges[-1], generator))
        return self._pools[min(number, len(self._pools) - 1)].draw(generator, taken)


def check_root_weights(weights: Sequence[float], roots: Sequence[object]) -> None:
    """Refuse weights that no draw can follow.

    Raises:
        UserError: there is not one for each root, one is negative or not finite, or all are 0.
    """
    fine = len(weights) == len(roots) and all(0 <= weight < float("inf") for weight in weights) and any(weights)
    if not fine:
        raise UserError(
            f"`root_weights` (={list(weights)}) must be {len(roots)} number(s), one for each of `roots`, none below 0 "
            "and one above"
        )


def pool_of(
    segments: Sequence[Segment], stems: Stems, root_weights: Sequence[float] | None = None, by_duration: bool = False
) -> Pool:
    """A pool of the segments; with weights, each root is drawn from by its share among those that have segments here.

    So a root that lacks a source leaves that source to the others, and gets its share of every source that it has.
    """
    if root_weights is None:
        return SegmentPool(segments, by_duration)
    of_root = [[one for one in segments if stems.tracks[one.track].root == root] for root in range(len(root_weights))]
    return MixedPool([SegmentPool(one, by_duration) for one in of_root], root_weights)


def whole_songs(stems: Stems, source: str | None = None, root_weights: Sequence[float] | None = None) -> Pool:
    """Every place of every song (that has the ``source``) alike."""
    songs = [song for song in stems.tracks if source is None or stems.has(song, source)]
    return pool_of([Segment(song, 0, stems.frames(song)) for song in songs], stems, root_weights, by_duration=True)


def coherent(
    pool: Pool,
    stems: Stems,
    sources: Sequence[str],
    root_weights: Sequence[float] | None = None,
    by_duration: bool = False,
) -> Pool:
    """The pool's segments in songs that hold a mixture: a stem alone is none, and serves in remixed examples only."""
    mixtures = {song for song in stems.tracks if sum(stems.has(song, source) for source in sources) > 1}
    segments = [one for one in pool.segments if one.track in mixtures] or pool.segments
    return pool_of(segments, stems, root_weights, by_duration)


def salient_segments(
    stems: Stems,
    source: str,
    index_dir: Path,
    tracks: Mapping[str, Track],
    root_weights: Sequence[float] | None = None,
) -> Pool:
    """The index's segments of ``source`` in the songs of ``stems``, in the order of song and place.

    Every part of the index is read: which songs are trained on is for the split to say, not for the file's name.

    Args:
        stems: The training songs.
        source: Which of their sources.
        index_dir: Where prepare_dataset.py wrote ``{source}_train.txt`` and ``{source}_valid.txt``.
        tracks: All songs, also those for validation, by name.
        root_weights: See :func:`pool_of`.

    Raises:
        UserError: there is no index, or it was made of another dataset (:func:`check_index`).
    """
    songs = {song for song in stems.tracks if stems.has(song, source)}
    if not songs:
        return SegmentPool([])
    paths = [index_path(index_dir, source, part) for part in PARTS]
    segments: list[Segment] = []
    listened: set[str] = set()
    for path in [path for path in paths if path.is_file()] or paths[:1]:
        index = read_index(path)
        check_index(path, index, tracks)
        segments += index.segments
        listened |= index.songs
    warn_of_left_out(source, songs - listened, len(songs))
    mine = [one for one in segments if one.track in songs]
    mine.sort(key=lambda one: (one.track, one.start))
    return pool_of([_at_rate(one, stems) for one in mine], stems, root_weights)


def _at_rate(segment: Segment, stems: Stems) -> Segment:
    from_hz, to_hz = stems.tracks[segment.track].sample_rate_hz, stems.sample_rate_hz
    start = segment.start * to_hz // from_hz
    return Segment(segment.track, start, max(start + 1, segment.end * to_hz // from_hz))
