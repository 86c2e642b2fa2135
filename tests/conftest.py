"""What the tests share: a tiny dataset, the folder of real data if there is one, the scripts as a user runs them."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

# Tests run side by side, and start scripts: several threads in each would wait for each other most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell starts its background jobs with Ctrl-C ignored, and so would be the scripts that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
# What a developer has downloaded is no part of the tests.
os.environ["DEMIXER_HOME"] = os.devnull

import numpy as np
import pytest
import soundfile

from demixer.sources import SOURCES
from example.tiny_musdb import write_tiny_musdb
from tests.live_stand_in import write_tiny_live_model

PROJECT_DIR = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def musdb_hq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered dataset in the shape of MUSDB18-HQ: 6 train songs, 2 of them for validation, and 2 test songs."""
    return write_tiny_musdb(tmp_path_factory.mktemp("musdb") / "musdb18hq")


@pytest.fixture(scope="session")
def live_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small live network with random weights."""
    return write_tiny_live_model(tmp_path_factory.mktemp("live") / "model")


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


@pytest.fixture(scope="session")
def comb_musdb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset that a network separates after seconds of training: noises that share out the whole band in stripes.

    Source i has every fourth quarter of an octave from 50 Hz to 20 kHz, and a slow tremolo of its own.
    """
    root = tmp_path_factory.mktemp("comb") / "musdb18hq"
    rng = np.random.default_rng(0)
    samples = 4 * 44100
    frequency_hz = np.fft.rfftfreq(samples, 1 / 44100)
    stripe = np.floor(4 * np.log2(np.maximum(frequency_hz, 1) / 50)).astype(int)
    heard = (frequency_hz > 50) & (frequency_hz < 20_000)
    songs = ["train/Amber", "train/Birch", "train/Cedar", "train/Triviul - Angelsaint", "test/Dune"]
    for folder in (root / song for song in songs):
        folder.mkdir(parents=True)
        stems = {}
        for i, source in enumerate(SOURCES):
            spectrum = np.fft.rfft(rng.standard_normal((2, samples))) * (heard & (stripe % 4 == i))
            tremolo = 1 + 0.5 * np.sin(np.linspace(0, rng.uniform(10, 40), samples))
            stem = np.fft.irfft(spectrum) * tremolo
            stems[source] = np.round(stem / np.abs(stem).max() * 6000).astype(np.int16).T
        for name, stem in {**stems, "mixture": sum(stems.values())}.items():
            soundfile.write(folder / f"{name}.wav", stem, 44100)
    return root
