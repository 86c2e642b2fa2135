"""The package as others get it: built, installed into an empty environment, and used far from the clone.

``make wheel`` runs this, and so does CI; ``make test`` does not, since the environment takes 5 GB. Nobody may write to
what is installed, not even root, who gives up the right to.
"""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import soundfile

import demixer
from demixer.paths import PROJECT_DIR
from demixer.sources import SOURCES

pytestmark = pytest.mark.wheel
Run = Callable[..., subprocess.CompletedProcess[str]]
POWERLESS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]  # root as any other user


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="wheel-") as name:  # 5 GB, which pytest would keep
        yield Path(name)


@pytest.fixture(scope="module")
def installed(place: Path) -> Path:
    """The ``bin/`` of an environment that holds the wheel and what it asks for, and nothing else."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(place), str(PROJECT_DIR)], check=True)
    (wheel,) = place.glob("music_demixer-*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(place / "env")], check=True)
    python = str(place / "env" / "bin" / "python")
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", str(wheel)], check=True)
    return place / "env" / "bin"


@pytest.fixture(scope="module")
def call(place: Path, installed: Path) -> Run:
    """Run an installed command in a folder of its own, without the right to write to what is installed."""
    home = place / "home"
    home.mkdir()
    for path in (place / "env").rglob("*"):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode & ~(stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH))
    prefix = POWERLESS if os.geteuid() == 0 else []
    environment = {"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*prefix, str(installed / name), *arguments]
        return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, timeout=600)

    return run


def test_nobody_may_write_to_it(call: Run) -> None:
    done = call("python", "-c", "import demixer; open(demixer.__file__, 'a')")
    assert "PermissionError" in done.stderr


def test_it_says_what_it_is(call: Run) -> None:
    assert call("demix", "--version").stdout == f"music-demixer {demixer.__version__}\n"
    listed = call("demix", "--list-models").stdout
    assert listed.splitlines()[0] == "here: musdb18-7s live-46ms"
    assert "bsrnn-opt" in listed


def test_it_separates_a_real_excerpt(call: Run, place: Path) -> None:
    (song,) = Path(find_spec("stempeg").origin).parent.glob("data/*.stem.mp4")
    shutil.copy(song, place / "home" / "song.stem.mp4")
    done = call("demix", "song.stem.mp4")
    assert done.returncode == 0, done.stderr
    stems = {file.name: soundfile.info(file) for file in (place / "home" / "stems").glob("*.wav")}
    assert {*stems} == {f"song_{source}.wav" for source in SOURCES}
    assert {round(stem.duration) for stem in stems.values()} == {6}
    again = call("demix", "song.stem.mp4")
    assert "1 were complete" in again.stdout


def test_nothing_else_comes_with_it(call: Run, installed: Path) -> None:
    names = ["utils", "data", "model", "songs", "page", "separator", "train", "inference", "hydra_plugins", "conf"]
    code = f"""import json, sys, demixer; from importlib.util import find_spec
print(json.dumps([demixer.__file__, [name for name in {names} if find_spec(name)]]))"""
    file, found = json.loads(call("python", "-c", code).stdout)
    assert Path(file).is_relative_to(installed.parent)
    # Hydra's own namespace for plugins
    assert [name for name in found if name != "hydra_plugins"] == []


def test_what_an_extra_brings_is_asked_for_in_a_line(call: Run) -> None:
    asking = [
        ("demix-app", [], "app"),
        ("demix-export", ["musdb18-7s", "x.onnx"], "export"),
        ("demix-live", ["--list-devices"], "live"),
    ]
    for command, arguments, extra in asking:
        done = call(command, *arguments)
        assert done.returncode == 2
        assert f"pip install 'music-demixer[{extra}]'" in done.stderr
        assert done.stderr.count("\n") == 1, done.stderr


def test_a_model_is_converted_and_a_missing_one_downloaded_to_where_one_may_write(call: Run, place: Path) -> None:
    done = call("demix-convert", "musdb18-7s", "copy", "--half")
    assert done.returncode == 0, done.stderr
    assert (place / "home" / "copy" / "weights.safetensors").stat().st_size > 1e6
    told = call("demix-download", "--help").stdout
    assert str(place / "home" / ".cache" / "demixer" / "models") in "".join(told.split())  # argparse breaks lines
    done = call("demix-evaluate", "-d", "musdb18-7s", "-i", ".")
    assert (done.returncode, done.stderr.endswith(": Permission denied: choose another (-o)\n")) == (2, True)
    done = call("demix-evaluate", "-d", "musdb18-7s", "-i", ".", "-o", "results")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no songs in `.`")
