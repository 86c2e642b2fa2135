"""Where the crops may come from: the segments in which a source sounds, or whole songs."""

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from itertools import accumulate
from pathlib import Path

from torch import Generator

from demixer.data.index import PARTS, Segment, index_path, read_index
from demixer.data.index_checks import check_index, warn_of_left_out
from demixer.data.randomness import integer
from demixer.data.stems import Stems
from demixer.data.tracks import Track

_TRIES = 16  # to find another song for another source; few songs may leave no choice


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


def whole_songs(stems: Stems, source: str | None = None) -> SegmentPool:
    """Every place of every song (that has the ``source``) alike."""
    songs = [song for song in stems.tracks if source is None or stems.has(song, source)]
    return SegmentPool([Segment(song, 0, stems.frames(song)) for song in songs], by_duration=True)


def salient_segments(stems: Stems, source: str, index_dir: Path, tracks: Mapping[str, Track]) -> SegmentPool:
    """The index's segments of ``source`` in the songs of ``stems``, in the order of song and place.

    Every part of the index is read: which songs are trained on is for the split to say, not for the file's name.

    Args:
        stems: The training songs.
        source: Which of their sources.
        index_dir: Where prepare_dataset.py wrote ``{source}_train.txt`` and ``{source}_valid.txt``.
        tracks: All songs, also those for validation, by name.

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
    return SegmentPool([_at_rate(one, stems) for one in sorted(mine, key=lambda one: (one.track, one.start))])


def _at_rate(segment: Segment, stems: Stems) -> Segment:
    from_hz, to_hz = stems.tracks[segment.track].sample_rate_hz, stems.sample_rate_hz
    start = segment.start * to_hz // from_hz
    return Segment(segment.track, start, max(start + 1, segment.end * to_hz // from_hz))
