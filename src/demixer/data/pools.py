"""Where the crops may come from: the segments in which a source sounds, or whole songs."""

from bisect import bisect_right
from collections.abc import Collection, Sequence
from itertools import accumulate
from pathlib import Path

from torch import Generator

from demixer.data.index import Segment, index_path, read_index
from demixer.data.randomness import integer
from demixer.data.stems import Stems
from demixer.errors import UserError

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


def salient_segments(stems: Stems, source: str, index_dir: Path, known_songs: Collection[str]) -> SegmentPool:
    """The index's segments of ``source`` in the songs of ``stems``.

    Raises:
        UserError: there is no index, or it names a song that is not even among ``known_songs``, so that it was made
            of another dataset.
    """
    path = index_path(index_dir, source, "train")
    segments = read_index(path)
    for song in {segment.track: None for segment in segments}:
        if song not in known_songs:
            raise UserError(f"`{path}` names the song `{song}`, which is not in `roots`; run prepare_dataset.py again")
    mine = [one for one in segments if one.track in stems.tracks and stems.has(one.track, source)]
    return SegmentPool([_at_rate(one, stems) for one in mine])


def _at_rate(segment: Segment, stems: Stems) -> Segment:
    from_hz, to_hz = stems.tracks[segment.track].sample_rate_hz, stems.sample_rate_hz
    start = segment.start * to_hz // from_hz
    return Segment(segment.track, start, max(start + 1, segment.end * to_hz // from_hz))
