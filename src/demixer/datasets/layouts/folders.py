"""A song is a folder that holds ``{source}.wav`` or ``{source}.flac``: MUSDB18-HQ's layout, and anybody's."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from demixer.datasets.subsets import subset_folder

SUFFIXES = (".wav", ".flac")


def find_folders(root: Path, sources: Sequence[str], subset: str | None) -> Iterator[tuple[str, dict]]:
    """Songs at any depth, named after their path; a song holds no other songs, and hidden folders are passed over."""
    top = subset_folder(root, subset)
    for folder, children, files in os.walk(top, followlinks=True) if top else ():
        children[:] = sorted(child for child in children if not child.startswith("."))
        candidates = ((source, source + suffix) for suffix in reversed(SUFFIXES) for source in sources)
        paths = {source: (Path(folder, file),) for source, file in candidates if file in files}
        if paths:
            children.clear()
            name = Path(folder).relative_to(top).as_posix()
            yield (top.resolve().name if name == "." else name), paths
