"""What the tests share: a tiny dataset, the folder of real data if there is one, the scripts as a user runs them."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from example.tiny_musdb import write_tiny_musdb

PROJECT_DIR = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def musdb_hq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered dataset in the shape of MUSDB18-HQ: 6 train songs, 2 of them for validation, and 2 test songs."""
    return write_tiny_musdb(tmp_path_factory.mktemp("musdb") / "musdb18hq")


@pytest.fixture
def shared_dir() -> Path:
    """The folder ../shared; the test is skipped where there is none."""
    folder = PROJECT_DIR.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the folder ../shared")
    return folder


@pytest.fixture
def run_script(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``src/{name}.py`` with arguments as a child process, from a foreign working directory."""

    def run(name: str, *arguments: object, timeout_seconds: float = 300) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(PROJECT_DIR / "src" / f"{name}.py"), *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=timeout_seconds)

    return run
