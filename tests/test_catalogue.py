"""Many songs over several processes: each is done once, and a failure costs no other song."""

import os
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest
from torch.distributed import TCPStore

from demixer.errors import UserError
from demixer.separation.processes import Process
from demixer.songs.catalogue import largest_first, separate_catalogue
from demixer.songs.finding import Song, find_songs
from demixer.songs.manifest import MANIFEST_NAME
from demixer.songs.options import Options
from tests.conftest import PROJECT_DIR
from tests.song_files import music, read, share_separator, write_song, write_tiny_model

SHARES = {"vocals": 1.0}
SAMPLES = 3_000


def catalogue(folder, songs=5):
    for number in range(songs):
        write_song(folder / f"song {number}.wav", music(SAMPLES + number))
    return folder


def stems(folder):
    """Names of all files but the manifest."""
    return sorted(path.name for path in folder.iterdir() if path.name != MANIFEST_NAME)


def torchrun(folder, *arguments, processes=2, script=PROJECT_DIR / "src" / "inference.py"):
    """Two processes with one thread each, as on a machine with two GPUs."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--standalone"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, str(script), *map(str, arguments)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_song_is_in_one_share(tmp_path, count):
    songs, _ = find_songs([catalogue(tmp_path / "in")], tmp_path / "out", SHARES, ".wav")
    shares = [Process(rank, count).share(songs, largest_first) for rank in range(count)]
    assert sorted(song.path for share in shares for song in share) == [song.path for song in songs]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_large_files_are_spread_evenly(tmp_path):
    for name, samples in {"a": 9_000, "b": 8_000, "c": 100, "d": 100}.items():
        write_song(tmp_path / f"{name}.wav", music(samples))
    songs, _ = find_songs([tmp_path], tmp_path / "out", SHARES, ".wav")
    shares = [{song.path.stem for song in Process(rank, 2).share(songs, largest_first)} for rank in range(2)]
    assert shares == [{"a", "c"}, {"b", "d"}]


def test_a_file_that_has_vanished_is_still_in_a_share(tmp_path):
    songs = [Song(tmp_path / name, {}) for name in ("gone", "lost")]
    assert [Process(rank, 2).share(songs, largest_first) for rank in range(2)] == [songs[:1], songs[1:]]


def test_the_environment_tells_the_process_its_place(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        monkeypatch.delenv(name, raising=False)
    assert Process.from_environment() == Process(0, 1, 0)
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert Process.from_environment() == Process(rank=5, count=8, local_rank=1)


def test_each_process_takes_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [Process(rank, 3, rank).device("auto") for rank in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert Process(1, 2, 1).device("cpu") == "cpu"
    assert Process(1, 2, 1).device("cuda:0") == "cuda:0"
    assert Process().device("auto") == "auto"


def test_shares_together_write_the_catalogue(tmp_path):
    folder = catalogue(tmp_path / "in")
    for rank in range(3):
        separator, process = share_separator(SHARES), Process(rank, 3)
        assert separate_catalogue([folder], tmp_path / "out", separator, Options(), process) == 0
    assert stems(tmp_path / "out") == [f"song {number}_vocals.wav" for number in range(5)]


@pytest.mark.parametrize("fails", [False, True])
def test_a_process_that_is_done_waits_for_the_others(monkeypatch, fails):
    store = TCPStore("127.0.0.1", 0, is_master=True)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    left = []

    def quick():
        with suppress(UserError), Process(0, 2).leaving_together():
            if fails:
                raise UserError("no such device")
        left.append("quick")

    def slow():
        with Process(1, 2).leaving_together():
            time.sleep(0.5)
            left.append("slow")

    threads = [threading.Thread(target=work) for work in (quick, slow)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert left == ["slow", "quick"]


def test_two_processes_do_each_song_once_and_wait_for_each_other(tmp_path):
    """One song fails: its process exits with 1, but only after the other, slower one is done."""
    catalogue(tmp_path / "in")
    (tmp_path / "in" / "bad.mp3").write_text("no song")
    model = write_tiny_model(tmp_path / "model")
    result = torchrun(tmp_path, "-i", "in", "-o", "out", "-c", model, "-t", "vocals", "-d", "cpu")
    assert result.returncode != 0
    assert result.stderr.count("error: `in/bad.mp3`: it is no audio") == 1
    assert stems(tmp_path / "out") == [f"song {number}_vocals.wav" for number in range(5)]
    for number in range(5):
        assert result.stdout.count(f"in/song {number}.wav →") == 1
        assert read(tmp_path / "out" / f"song {number}_vocals.wav").shape == (2, SAMPLES + number)
    assert sorted(line for line in result.stdout.splitlines() if "separated" in line) == [
        "2 separated, 1 failed",
        "3 separated",
    ]


FAILING = """
import os, sys, time
sys.path.insert(0, {source!r})
from demixer.commands import demix
from demixer.separation.separator import Separator
from demixer.errors import UserError, run
rank = int(os.environ["RANK"])
def load(*_, **__):
    if rank == 0:
        raise UserError('no such device')
    def network(windows):
        time.sleep(1)
        return windows.unsqueeze(1)
    return Separator(network, ["vocals"], 44100)
Separator.from_pretrained = load
run(demix.main)
"""


def test_a_process_that_cannot_begin_leaves_the_other_to_its_work(tmp_path):
    catalogue(tmp_path / "in", songs=6)
    script = tmp_path / "failing.py"
    script.write_text(FAILING.format(source=str(PROJECT_DIR / "src")))
    result = torchrun(tmp_path, "-i", "in", "-o", "out", script=script)
    assert result.returncode != 0
    assert "error: no such device\n" in result.stderr
    assert "3 separated" in result.stdout
    assert len(stems(tmp_path / "out")) == 3
