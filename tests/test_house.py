"""The house keeps its shape: imports point one way, scripts stay short, no room outgrows the others."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from demixer.paths import PACKAGE_DIR, PROJECT_DIR, SRC_DIR

# Who may import whom, from the ground up; all may import the files that lie beside the rooms.
ALLOWED = {
    "audio": set(),
    "figures": set(),
    "checkpoints": set(),
    "datasets": {"audio"},
    "data": {"datasets", "audio"},
    "model": {"checkpoints"},
    "separation": {"model", "audio", "checkpoints"},
    "evaluation": {"separation", "data", "datasets", "audio", "figures", "checkpoints"},
    "training": {"evaluation", "separation", "model", "figures", "checkpoints"},
    "songs": {"separation", "audio"},
    "live": {"separation"},
    "page": {"songs", "separation", "audio", "figures", "checkpoints"},
    "commands": {"page", "live", "songs", "evaluation", "separation", "model", "checkpoints"},
}
LARGEST_SHARE = 0.22
SCRIPT_LINES = 60
FILES = sorted(PACKAGE_DIR.rglob("*.py"))
SCRIPTS = sorted([*SRC_DIR.glob("*.py"), *(PACKAGE_DIR / "commands").glob("*.py")])


def room_of(file: Path) -> str:
    """The room in which a file of the package lies, or "" for one beside the rooms."""
    return next(iter(file.relative_to(PACKAGE_DIR).parts[:-1]), "")


def imported(file: Path) -> set[str]:
    """The modules that a file names in its imports, wherever they stand in it."""
    modules = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    return modules


def test_every_room_has_its_place_in_the_order() -> None:
    rooms = {folder.name for folder in PACKAGE_DIR.iterdir() if (folder / "__init__.py").is_file()}
    assert rooms == {*ALLOWED}
    seen: set[str] = set()
    for room, allowed in ALLOWED.items():
        assert allowed <= seen, f"{room} imports a room that is above it"
        seen.add(room)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE_DIR)))
def test_imports_point_one_way(file: Path) -> None:
    own = {name.split(".")[1] for name in imported(file) if name.startswith("demixer.")}
    rooms, room = own & {*ALLOWED}, room_of(file)
    if file != PACKAGE_DIR / "__init__.py":
        assert rooms <= ALLOWED.get(room, set()) | {room}
    assert not {name.split(".")[0] for name in imported(file)} & {script.stem for script in SRC_DIR.glob("*.py")}


@pytest.mark.parametrize("file", SCRIPTS, ids=lambda file: str(file.relative_to(SRC_DIR)))
def test_scripts_and_commands_only_parse_and_call(file: Path) -> None:
    lines = file.read_text().splitlines()
    parsing = sum(line.lstrip().startswith(("add(", "parser.add", "from ", "import ")) for line in lines)
    assert len(lines) - parsing <= SCRIPT_LINES


def test_no_room_is_a_lumber_room() -> None:
    lines = {file: len(file.read_text().splitlines()) for file in FILES}
    total = sum(lines.values())
    rooms = {room: sum(n for file, n in lines.items() if room_of(file) == room) for room in (*ALLOWED, "")}
    assert {room: n / total for room, n in rooms.items() if n / total >= LARGEST_SHARE} == {}
    assert rooms[""] / total < 0.05


def test_separating_imports_nothing_that_only_training_and_pictures_need() -> None:
    code = f"""import sys; sys.path.insert(0, {str(SRC_DIR)!r}); sys.argv = ["demix", "nothing.wav"]
from demixer.commands.demix import command
try: command()
except SystemExit: pass
print([name for name in ("pytorch_lightning", "hydra", "omegaconf", "matplotlib", "gradio") if name in sys.modules])"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n", done.stdout
    assert "cannot read `nothing.wav`" in done.stderr


def test_nothing_imports_what_needs_the_ffmpeg_program() -> None:
    """Stempeg raises where there is none; musdb imports it, and museval musdb."""
    needing = {"musdb", "museval", "stempeg"}
    files = [*FILES, *SRC_DIR.glob("*.py"), *(PROJECT_DIR / "example").glob("*.py")]
    assert [file for file in files if needing & {name.split(".")[0] for name in imported(file)}] == []


def test_no_file_names_a_place_on_one_machine() -> None:
    suspicious = ("/home/", "/root/", "/Users/", "C:\\")
    texts = [*FILES, *PROJECT_DIR.glob("conf/**/*.yaml"), *PROJECT_DIR.glob("*.md"), PROJECT_DIR / "Makefile"]
    assert [str(file) for file in texts if any(place in file.read_text() for place in suspicious)] == []
