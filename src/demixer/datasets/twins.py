"""Songs that two datasets share under different names: MUSDB18 took songs, of its test half too, from MedleyDB."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from demixer.datasets.layouts import find_songs
from demixer.datasets.track_files import Track

LEAST_LETTERS = 8  # of artist and title together; "Track 00001" says nothing

log = logging.getLogger(__name__)


def without_twins(
    tracks: Sequence[Track],
    valid: Iterable[Track],
    roots: Sequence[Path | str],
    sources: Sequence[str],
    layouts: Sequence[str],
) -> list[Track]:
    """The training songs, less those that another root has for validation or in its subset test; a line tells which.

    Names are compared by their letters and digits: ``Audio/AlexanderRoss_GoodbyeBolero`` is
    ``Alexander Ross - Goodbye Bolero``.

    Args:
        tracks: The training songs.
        valid: The validation songs.
        roots: All dataset folders.
        sources: What makes a song, see :func:`demixer.datasets.tracks.find_tracks`.
        layouts: Of each root.
    """
    if len(roots) == 1:
        return list(tracks)
    held_out: dict[str, set[int]] = {}
    for track in valid:
        held_out.setdefault(plain(track.name), set()).add(track.root)
    for number, (root, layout) in enumerate(zip(roots, layouts, strict=True)):
        for name, _ in find_songs(layout, Path(root), sources, "test"):
            held_out.setdefault(plain(name), set()).add(number)
    twins = [track for track in tracks if _is_twin(track, held_out)]
    if twins:
        named = ", ".join(f"`{track.name}`" for track in twins)
        log.warning("%d song(s) are validated or tested on in another root and not trained on: %s", len(twins), named)
    return [track for track in tracks if track not in twins]


def plain(name: str) -> str:
    """The letters and digits of a song's name, without the folders that it lies in.

    >>> plain("Audio/AlexanderRoss_GoodbyeBolero") == plain("Alexander Ross - Goodbye Bolero")
    True
    """
    return "".join(letter for letter in name.rpartition("/")[2].lower() if letter.isalnum())


def _is_twin(track: Track, held_out: Mapping[str, set[int]]) -> bool:
    name = plain(track.name)
    telling = sum(letter.isalpha() for letter in name) >= LEAST_LETTERS
    return telling and bool(held_out.get(name, set()) - {track.root})
