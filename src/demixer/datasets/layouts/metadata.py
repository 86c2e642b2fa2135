"""What the published layouts share: songs are found by their metadata, and files are grouped by instrument."""

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from demixer.datasets.subsets import subset_folder
from demixer.errors import UserError
from demixer.sources import SOURCES

OTHER = "other"


def metadata_files(root: Path, subset: str | None, suffix: str) -> Iterator[tuple[str, Path]]:
    """The song's name and the metadata file in each folder of a subset that has one whose name ends in ``suffix``."""
    top = subset_folder(root, subset)
    for folder, children, files in os.walk(top, followlinks=True) if top else ():
        children[:] = sorted(child for child in children if not child.startswith("."))
        for file in sorted(file for file in files if file.endswith(suffix) and not file.startswith(".")):
            children.clear()
            name = Path(folder).relative_to(top).as_posix()
            yield (top.resolve().name if name == "." else name), Path(folder, file)


def read_metadata(path: Path) -> dict[str, Any]:
    """A JSON or YAML file with ``stems`` in it, as plain data.

    Raises:
        UserError: it cannot be read, or has no ``stems``.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"`{path}` cannot be read: {error}") from error
    if not isinstance(values, dict) or not values.get("stems"):
        raise UserError(f"`{path}` describes no `stems`: it is not of this layout, or damaged")
    return values


def group(files: Iterable[tuple[str, Path]], sources: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Pairs of instrument and file → the files of each source: that of the instrument, or else ``other``.

    >>> files = [("guitar", Path("a")), ("bass", Path("b")), ("harp", Path("c"))]
    >>> {source: [path.name for path in paths] for source, paths in group(files, ["bass", "guitar", "other"]).items()}
    {'guitar': ['a'], 'bass': ['b'], 'other': ['c']}
    """
    paths: defaultdict[str, list[Path]] = defaultdict(list)
    for instrument, path in files:
        source = instrument if instrument in (*sources, *SOURCES) else OTHER
        if source in sources:
            paths[source].append(path)
    return {source: tuple(files) for source, files in paths.items()}
