"""The house keeps its shape: imports point one way, and scripts stay short."""

import ast
from pathlib import Path

import pytest

from demixer.paths import PROJECT_DIR, SRC_DIR

ROOMS = ("data", "model", "page", "songs", "utils")
# who may import whom; the scripts in src/ may import everything
ALLOWED = {
    "page": {"page", "songs", "separator", "utils"},
    "songs": {"songs", "separator", "utils"},
    "separator": {"model", "utils"},
    "model": {"model", "utils"},
    "data": {"data", "utils"},
    "utils": {"utils"},
}
FILES = sorted(file for file in SRC_DIR.rglob("*.py") if "logs" not in file.parts)


def room_of(file: Path) -> str:
    first = file.relative_to(SRC_DIR).parts[0]
    return first if first in ROOMS else Path(first).stem


def imported(file: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.split(".")[0])
    return modules


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SRC_DIR)))
def test_imports_point_one_way(file: Path) -> None:
    own = {*ROOMS, *(script.stem for script in SRC_DIR.glob("*.py"))}
    allowed = ALLOWED.get(room_of(file))
    if allowed is not None:
        assert imported(file) & own <= allowed


def test_separating_a_song_does_not_import_what_needs_ffmpeg() -> None:
    needing = {file.name for file in FILES if imported(file) & {"musdb", "museval", "stempeg"}}
    assert needing <= {"prepare_dataset.py", "stem_files.py"}


def test_no_file_names_a_place_on_one_machine() -> None:
    suspicious = ("/home/", "/root/", "/Users/", "C:\\")
    texts = [*FILES, *PROJECT_DIR.glob("conf/**/*.yaml"), *PROJECT_DIR.glob("*.md"), PROJECT_DIR / "Makefile"]
    assert [str(file) for file in texts if any(place in file.read_text() for place in suspicious)] == []
