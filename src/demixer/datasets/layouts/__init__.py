"""How the songs of a dataset lie in its folder: ours, or as MoisesDB, Slakh2100 and MedleyDB are published.

Each layout is a function (root, sources, subset) → (song, {source: files}), …: which files belong to which of the
``sources`` that are asked for; nothing but names and metadata is read. A file belongs to one source only, to the
finest that is asked for: a guitar to ``guitar`` if that is one of them, otherwise to ``other``. So the sources of a
song always add up to the song.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from demixer.datasets.layouts.folders import find_folders
from demixer.datasets.layouts.medleydb import find_medleydb
from demixer.datasets.layouts.moisesdb import find_moisesdb
from demixer.datasets.layouts.slakh2100 import find_slakh2100
from demixer.errors import UserError

FOLDERS = "folders"
Songs = Iterator[tuple[str, dict[str, tuple[Path, ...]]]]
LAYOUTS: dict[str, Callable[[Path, Sequence[str], str | None], Songs]] = {
    FOLDERS: find_folders,
    "moisesdb": find_moisesdb,
    "slakh2100": find_slakh2100,
    "medleydb": find_medleydb,
}


def find_songs(layout: str, root: Path, sources: Sequence[str], subset: str | None) -> Songs:
    """Every song of ``root`` with at least one of ``sources``, and the files of each, in the order of ``sources``."""
    for name, paths in LAYOUTS[layout](root, sources, subset):
        if paths:
            yield name, {source: tuple(paths[source]) for source in sources if source in paths}


def layout_of_each(layout: str | Sequence[str], roots: Sequence[object]) -> list[str]:
    """The layout of each root.

    Raises:
        UserError: there is no such layout, or several are given, but not one for each root.
    """
    named = [layout] if isinstance(layout, str) else list(layout)
    layouts = named * len(roots) if len(named) == 1 else named
    unknown = [name for name in layouts if name not in LAYOUTS]
    if unknown or len(layouts) != len(roots):
        raise UserError(
            f"`layout` (={layout}) must be one of {', '.join(LAYOUTS)}, or one for each of the {len(roots)} root(s)"
        )
    return layouts
