"""Whether an index belongs to the songs: one of other songs of the same names would train on a part of them only."""

import logging
from collections.abc import Collection, Mapping
from pathlib import Path

from demixer.data.index import Index
from demixer.datasets.track_files import Track, same_length
from demixer.errors import UserError

LEAST_REACH = 0.5  # the last segment ends here, as a share of the songs, in an index that is taken to be theirs
REMEDY = "run prepare_dataset.py on the folders of `roots` again"

log = logging.getLogger(__name__)


def check_index(path: Path, index: Index, tracks: Mapping[str, Track]) -> None:
    """Compare what an index says of its songs with the songs, all in samples at each song's own rate.

    Where the index is of an older version, which has no lengths, no segment may reach beyond its song, and a warning
    says when all of them end early, as those of excerpts do.

    Args:
        path: Named in the messages.
        index: Its content.
        tracks: All songs in ``roots`` by name.

    Raises:
        UserError: it names a song that is not there, or one of another length.
    """
    for song in sorted(index.songs):
        if song not in tracks:
            raise UserError(f"`{path}` names the song `{song}`, which is not in `roots`; {REMEDY}")
    ends = {one.track: 0 for one in index.segments}
    for one in index.segments:
        ends[one.track] = max(ends[one.track], one.end)
    for song in sorted(index.songs):
        track = tracks[song]
        told = index.frames.get(song, max(track.frames, ends.get(song, 0)))
        if not same_length(told, track.frames, track.sample_rate_hz):
            what = "was made of a song" if song in index.frames else "has segments in a song"
            raise UserError(
                f"`{path}` {what} `{song}` of {told} samples, in `roots` it has {track.frames}: it belongs to another "
                f"dataset; {REMEDY}"
            )
    _warn_of_early_ends(path, {song: end for song, end in ends.items() if song not in index.frames}, tracks)


def warn_of_left_out(source: str, left_out: Collection[str], songs: int) -> None:
    """Say that songs with a file of ``source`` are in no index of it, so that nothing of it is drawn from them."""
    if left_out:
        named = ", ".join(sorted(left_out)[:5]) + (", …" if len(left_out) > 5 else "")
        log.warning(
            "%d of the %d training songs with %s have no line in its index and are not drawn from: %s; %s",
            len(left_out), songs, source, named, REMEDY,
        )  # fmt: skip


def _warn_of_early_ends(path: Path, ends: Mapping[str, int], tracks: Mapping[str, Track]) -> None:
    reach = sum(ends.values()) / max(1, sum(tracks[song].frames for song in ends))
    if ends and reach < LEAST_REACH:
        log.warning(
            "`%s` ends %.1f %% into its songs on the average, as an index of excerpts does; %s",
            path,
            100 * reach,
            REMEDY,
        )
