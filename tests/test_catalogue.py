"""Many songs over several processes: each is done once, and a failure costs no other song."""

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pytest
from torch.distributed import TCPStore

from demixer.errors import UserError
from demixer.separation.processes import Process
from demixer.separation.separator import Separator
from demixer.songs.catalogue import separate_catalogue
from demixer.songs.claims import claim_of, held
from demixer.songs.console import Console
from demixer.songs.finding import Song, find_songs, largest_first
from demixer.songs.manifest import MANIFEST_NAME
from demixer.songs.options import Options
from tests.conftest import PROJECT_DIR
from tests.song_files import free_port, music, read, share_separator, write_song, write_tiny_model

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


TOLD = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}


def test_torchrun_tells_the_process_its_place(monkeypatch):
    for name in (*TOLD, "TORCHELASTIC_RUN_ID"):
        monkeypatch.delenv(name, raising=False)
    assert Process.from_environment() == Process(0, 1, 0)
    for name, value in {**TOLD, "TORCHELASTIC_RUN_ID": "none"}.items():
        monkeypatch.setenv(name, value)
    assert Process.from_environment() == Process(rank=5, count=8, local_rank=1)


@pytest.mark.parametrize("told", [TOLD, {**TOLD, "MASTER_ADDR": "no.such.host", "MASTER_PORT": "1"}, {"RANK": "first"}])
def test_what_other_schedulers_tell_holds_nobody_up(tmp_path, monkeypatch, told):
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    process = Process.from_environment()
    with process.leaving_together():
        separate_catalogue([catalogue(tmp_path / "in")], tmp_path / "out", share_separator(SHARES), Options(), process)
    assert stems(tmp_path / "out") == [f"song {number}_vocals.wav" for number in range(5)]


def test_a_store_that_does_not_answer_costs_one_line(monkeypatch):
    monkeypatch.setattr("demixer.separation.processes.STORE_SECONDS", 1)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(free_port()))
    with pytest.raises(UserError, match=r"torchrun's store at 127\.0\.0\.1:[0-9]+ does not answer: [^\n]+$"):
        Process(0, 2).deal(list)


def test_each_process_takes_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert [Process(rank, 3, rank).device("auto") for rank in range(3)] == ["cuda:0", "cuda:1", "cuda:0"]
    assert Process(1, 2, 1).device("cpu") == "cpu"
    assert Process(1, 2, 1).device("cuda:0") == "cuda:0"
    assert Process().device("auto") == "auto"


@pytest.fixture
def store(monkeypatch):
    """A store such as torchrun has."""
    store = TCPStore("127.0.0.1", 0, is_master=True)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    return store


def in_threads(*works):
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in threads)


def test_each_item_is_dealt_once_though_the_processes_see_different_ones(store):
    """Between the two listings files have come and gone, which once moved all shares."""
    seen = [["c", "b", "a"], ["new", "c", "b"], ["a"]]
    dealt, lists = [], []

    def work(rank):
        deal = Process(rank, 3).deal(lambda: seen[rank])
        lists.append(tuple(deal.items))
        for number in deal.numbers:
            dealt.append(deal.items[number])
            time.sleep(0.05)

    in_threads(*(partial(work, rank) for rank in range(3)))
    assert len(set(lists)) == 1
    assert list(lists[0]) in seen
    assert sorted(dealt) == sorted(lists[0])


def test_a_slow_process_leaves_the_rest_to_the_others(store):
    dealt = {0: [], 1: []}
    slow = threading.Event()

    def work(rank):
        deal = Process(rank, 2).deal(lambda: [str(number) for number in range(6)])
        for number in deal.numbers:
            dealt[rank].append(number)
            if rank == 0:
                slow.wait()
        if rank == 1:
            slow.set()

    in_threads(partial(work, 0), partial(work, 1))
    assert sorted(dealt[0] + dealt[1]) == [*range(6)]
    assert len(dealt[0]) <= 1


def test_where_nothing_can_be_listed_nobody_waits(store):
    told = []

    def work(rank):
        try:
            Process(rank, 2).deal(lambda: (_ for _ in ()).throw(UserError("no audio file in `x`")))
        except UserError as error:
            told.append(str(error))

    in_threads(partial(work, 0), partial(work, 1))
    assert sorted(line.replace("process 1", "process 0") for line in told) == [
        "no audio file in `x`",
        "process 0 cannot go on: another one failed, as told above",
    ]


@pytest.mark.parametrize("fails", [False, True])
def test_a_process_that_is_done_waits_for_the_others(store, fails):
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

    in_threads(quick, slow)
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
    ends = [line.split(", ") for line in result.stdout.splitlines() if " separated" in line]
    assert sum(int(separated.split()[0]) for separated, *_ in ends) == 5
    assert sorted(failed for _, *failed in ends) == [[], ["1 failed"]]


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


def test_a_process_that_cannot_begin_leaves_its_songs_to_the_other(tmp_path):
    catalogue(tmp_path / "in", songs=3)
    script = tmp_path / "failing.py"
    script.write_text(FAILING.format(source=str(PROJECT_DIR / "src")))
    result = torchrun(tmp_path, "-i", "in", "-o", "out", script=script)
    assert result.returncode != 0
    assert "error: no such device\n" in result.stderr
    assert "3 separated" in result.stdout
    assert len(stems(tmp_path / "out")) == 3


# Processes that know nothing of each other


def slow_separator(seconds, told=None):
    """A network that takes its time, and tells that it has begun."""

    def network(windows):
        if told is not None:
            told.set()
        time.sleep(seconds)
        return windows.unsqueeze(1)

    return Separator(network, ["vocals"], 44100)


def work_alone(folder, options, seconds, gate, started, report):
    """What a process of its own does: separate ``in`` into ``out``, and report what became of the songs."""
    console = Console()
    gate.wait()
    separate_catalogue([folder / "in"], folder / "out", slow_separator(seconds, started), options, console=console)
    report.put(dict(console.tally))


def start(folder, seconds, options=None, count=1):
    """Each process, what tells that it separates, and what it reports; they begin at once."""
    context = get_context("fork")  # a new interpreter takes seconds
    gate, processes = context.Barrier(count), []
    for _ in range(count):
        started, report = context.Event(), context.SimpleQueue()
        arguments = (folder, options or Options(), seconds, gate, started, report)
        processes.append((context.Process(target=work_alone, args=arguments), started, report))
        processes[-1][0].start()
    return processes


@pytest.mark.parametrize("overwrite", [False, True])
def test_processes_that_begin_at_once_never_separate_the_same_song(tmp_path, overwrite):
    catalogue(tmp_path / "in", songs=6)
    processes = start(tmp_path, 0.2, Options(overwrite=overwrite), count=3)
    tallies = [report.get() for _, _, report in processes]
    for process, *_ in processes:
        process.join()
    assert [process.exitcode for process, *_ in processes] == [0, 0, 0]
    assert all(tally.get("separated") for tally in tallies), "the test starts one of them too late"
    assert sum(tally["separated"] for tally in tallies) == 6
    assert stems(tmp_path / "out") == [f"song {number}_vocals.wav" for number in range(6)]
    lines = (tmp_path / "out" / MANIFEST_NAME).read_text().splitlines()
    assert len({json.loads(line)["song"] for line in lines}) == len(lines) == 6


@pytest.mark.parametrize(
    ("names", "template"),
    [(("a/1.wav", "b/1.wav"), "{stem}/{folder}/{track}"), (("1.wav", "1.flac"), "{folder}/{track}_{ext}_{stem}")],
)
def test_songs_of_one_name_do_not_hold_each_other_up(tmp_path, names, template):
    """They had one lock in the folder of their stems: the second was left to a process that never did it."""
    for name in names:
        write_song(tmp_path / "in" / name, music(SAMPLES), subtype="PCM_16")
    shares, out, console = {"vocals": 0.5, "other": 0.5}, tmp_path / "out", Console()
    (one, _), _ = find_songs([tmp_path / "in"], out, [*shares], ".wav", template)
    with held(claim_of(one.folder, one.key)):
        separate_catalogue([tmp_path / "in"], out, share_separator(shares), Options(name=template), console=console)
    assert console.tally == {"claimed": 1, "separated": 1}


def test_a_killed_process_leaves_its_song_to_the_next_call_and_nothing_else(tmp_path):
    catalogue(tmp_path / "in", songs=2)
    ((killed, started, _),) = start(tmp_path, 60)
    assert started.wait(30)
    out = tmp_path / "out"
    left = stems(out)
    assert sorted(name.rpartition(".")[2] for name in left) == ["lock", "part"]
    console = Console()

    def separate(song):
        separate_catalogue([tmp_path / "in" / song], out, share_separator(SHARES), Options(), console=console)
        return stems(out)

    assert separate("") == [*left, "song 1_vocals.wav"], "a living process's files are left alone"
    assert console.tally == {"claimed": 1, "separated": 1}
    killed.kill()
    killed.join()
    assert stems(out) == [*left, "song 1_vocals.wav"]
    assert separate("song 1.wav") == ["song 1_vocals.wav"], "swept, though its song is no part of this call"
    assert separate("") == ["song 0_vocals.wav", "song 1_vocals.wav"]


def test_what_an_earlier_version_left_is_swept_after_a_day(tmp_path):
    catalogue(tmp_path / "in", songs=1)
    for name in (".0123456789ab.part", ".ba9876543210.part", ".mine.part", ".0123456789ab"):
        (tmp_path / "out" / name).mkdir(parents=True)
    os.utime(tmp_path / "out" / ".0123456789ab.part", (0, 0))
    os.utime(tmp_path / "out" / ".mine.part", (0, 0))
    separate_catalogue([tmp_path / "in"], tmp_path / "out", share_separator(SHARES), Options())
    assert stems(tmp_path / "out") == [".0123456789ab", ".ba9876543210.part", ".mine.part", "song 0_vocals.wav"]


@pytest.mark.parametrize("reason", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_where_the_file_system_knows_no_locks_a_file_is_one(tmp_path, monkeypatch, reason):
    def no_lock(*_):
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr("fcntl.flock", no_lock)
    path = tmp_path / ".0123456789abcdef.lock"
    with held(path) as first, held(path) as second:
        assert (first, second) == (True, False)
        owner = next(file for file in tmp_path.iterdir() if file.stat().st_size)
        assert owner.read_text().startswith(f"{os.getpid()}\n")
    with held(path) as again:
        assert again
    assert stems(tmp_path) == []


# What cannot be entered


def found(*inputs, output_dir="out"):
    songs, refused = find_songs([*inputs], Path(output_dir), SHARES, ".wav")
    return [song.path.as_posix() for song in songs], {path.as_posix(): reason for path, reason in refused.items()}


@pytest.fixture
def as_nobody():
    """Root may enter everything; so the test runs as somebody who may not."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    yield
    os.seteuid(0)


def test_what_may_not_be_entered_is_a_line_and_the_others_go_on(request, monkeypatch):
    with tempfile.TemporaryDirectory() as folder:
        monkeypatch.chdir(folder)
        Path(folder).chmod(0o755)
        for name in ("a/song.wav", "shut/song.wav", "listed/song.wav", "listed/album/song.wav", "z.wav"):
            write_song(Path("in", name), music(10))
        Path("in/shut").chmod(0o000)
        Path("in/listed").chmod(0o444)
        request.getfixturevalue("as_nobody")
        songs, refused = found(Path("in"))
        assert songs == ["in/a/song.wav", "in/z.wav"]
        shut = ("in/shut", "in/listed/album", "in/listed/song.wav")
        assert refused == dict.fromkeys(shut, "Permission denied")
        os.seteuid(os.getuid())
        Path("in/shut").chmod(0o755)
        Path("in/listed").chmod(0o755)


def test_circles_and_endless_names_are_lines_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_song(Path("in/song.wav"), music(10))
    Path("in/circle").symlink_to("circle")
    Path("in/circle.wav").symlink_to("circle.wav")
    Path("in/nothing").symlink_to("nowhere")
    name = "n" * 250
    os.chdir("in")
    for _ in range(20):  # longer than the 4096 bytes that a path may have
        Path(name).mkdir()
        os.chdir(name)
    os.chdir(tmp_path)
    songs, refused = found(Path("in"), Path("x" * 300), Path("y" * 5000))
    assert songs == ["in/song.wav"]
    too_deep = next(path for path in refused if name in path)
    assert refused == {
        "in/circle": "Too many levels of symbolic links",
        "in/circle.wav": "Too many levels of symbolic links",
        too_deep: "File name too long",
        "x" * 300: "File name too long",
        "y" * 5000: "File name too long",
    }
    shutil.rmtree("in")


def test_folders_deeper_than_pythons_stack_are_searched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    depth = 300
    for folder in ("in", *"a" * depth):
        Path(folder).mkdir()
        os.chdir(folder)
    write_song(Path("song.wav"), music(10))
    os.chdir(tmp_path)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth)
    try:
        assert found(Path("in")) == ([Path("in", *"a" * depth, "song.wav").as_posix()], {})
    finally:
        sys.setrecursionlimit(limit)


@pytest.mark.parametrize("again", ["in/../in", "./in", "in/album/..", "link", "in/album", "in/album/song.wav"])
def test_a_song_that_several_inputs_lead_to_is_done_once(tmp_path, monkeypatch, again):
    monkeypatch.chdir(tmp_path)
    write_song(Path("in/album/song.wav"), music(10))
    Path("link").symlink_to("in")
    assert found(Path("in"), Path(again)) == (["in/album/song.wav"], {})
    (song,), _ = find_songs([Path("in"), Path(again)], Path("out"), SHARES, ".wav")
    assert song.outputs == {"vocals": Path("out/album/song_vocals.wav")}
