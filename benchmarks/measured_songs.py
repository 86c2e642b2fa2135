"""The songs that the benchmarks of quality measure: those of ``$MUSDB_DIR``."""

import os
from collections.abc import Sequence

from demixer.datasets.tracks import Track, find_tracks, split_tracks
from demixer.errors import UserError


def measured_songs(targets: Sequence[str], subset: str = "train", split: str = "valid") -> list[Track]:
    """Songs with these stems and their mixture; only the train half is split.

    Raises:
        UserError: ``MUSDB_DIR`` is not set, or has no such songs.
    """
    root = os.environ.get("MUSDB_DIR")
    if not root:
        raise UserError("set MUSDB_DIR to the folder of MUSDB18-HQ")
    tracks = find_tracks(root, (*targets, "mixture"), subset)
    return split_tracks(tracks, split) if subset == "train" else tracks
