"""Which stems the songs have: for targets beyond the four of MUSDB18, and for what is mixed around them."""

import logging
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from demixer.datasets.layouts import FOLDERS, layout_of_each
from demixer.datasets.layouts.folders import SUFFIXES
from demixer.datasets.subsets import subset_folder
from demixer.errors import UserError
from demixer.sources import SOURCES

MIXTURE = "mixture"

log = logging.getLogger(__name__)


def sources_around(
    targets: Sequence[str],
    roots: Sequence[Path | str],
    subset: str = "train",
    layout: str | Sequence[str] = FOLDERS,
    all_needed: bool = True,
) -> tuple[str, ...]:
    """What is mixed to train ``targets``: MUSDB18's four sources, or, for any other target, every stem of the songs.

    In a folder of finer stems the four would leave out instruments that the target must be told from. In the layouts
    of published datasets the four and the targets leave nothing out, since what is no target is in ``other``.

    Args:
        targets: What is trained.
        roots: Dataset folders, see :func:`demixer.datasets.tracks.find_tracks`.
        subset: As there.
        layout: As there.
        all_needed: False: targets that no song has do not count.

    Raises:
        UserError: no song has the file of a target that is needed; the message lists the stems that there are.
    """
    if set(targets) <= set(SOURCES):
        return SOURCES
    folders = [root for root, way in zip(roots, layout_of_each(layout, roots), strict=True) if way == FOLDERS]
    published = len(folders) < len(roots)
    songs = list(_stems_of_folders(folders, subset))
    known = set().union(*songs) - {MIXTURE}
    missing = [target for target in targets if target not in known and not published]
    if missing and not all_needed:
        return sources_around([target for target in targets if target not in missing], roots, subset, layout)
    if missing:
        raise UserError(
            f"`target` {', '.join(missing)}: no song in {', '.join(f'`{root}`' for root in roots)} has such a file"
            f" (.wav or .flac); their stems are {', '.join(_ordered(known)) or 'none'}"
        )
    named = {*SOURCES, *targets}
    found = set().union(*(stems for stems in songs if stems & named)) - {MIXTURE}
    sources = _ordered(found | named if published else found)
    log.info("sources that are mixed: %s (`data.sources` chooses)", ", ".join(sources))
    return sources


def _ordered(names: Collection[str]) -> tuple[str, ...]:
    """The four first, then the alphabet: the order decides which random numbers a source gets."""
    return tuple(sorted(names, key=lambda name: (SOURCES.index(name) if name in SOURCES else len(SOURCES), name)))


def _stems_of_folders(roots: Sequence[Path | str], subset: str) -> Iterator[set[str]]:
    for root in map(Path, roots):
        if not root.is_dir():
            raise UserError(f"dataset folder `{root}` does not exist")
        top = subset_folder(root, subset)
        for _, children, files in os.walk(top, followlinks=True) if top else ():
            children[:] = [child for child in children if not child.startswith(".")]
            yield {Path(file).stem for file in files if not file.startswith(".") and Path(file).suffix in SUFFIXES}
