"""What the user is told: lines for a person or for a program, progress at a terminal, an honest exit code."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from rich.progress import Progress

from demixer.commands import app, demix, evaluate, live
from demixer.errors import run
from demixer.songs.bars import Bars, bars
from demixer.songs.manifest import MANIFEST_NAME
from tests.conftest import PROJECT_DIR
from tests.song_files import music, noise, write_song, write_tiny_model

SAMPLES = 4_000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def separate(tmp_path, monkeypatch, model):
    """Separate the folder ``in`` into ``out``; gives the exit code."""
    monkeypatch.chdir(tmp_path)
    return lambda *more: demix.main(["in", "-o", "out", "-c", str(model), "-d", "cpu", "-t", "vocals", *more])


def truncated(path):
    write_song(path, noise(400_000, 1), subtype=None)
    os.truncate(path, int(path.stat().st_size * 0.9))
    return path


def at_a_terminal(command, folder, stdout):
    """The exit code, and what a command writes to stderr, a terminal."""
    terminal, end = pty.openpty()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=stdout or end, stderr=end) as process:
        os.close(end)
        shown = b""
        while chunk := _read(terminal):
            shown += chunk
    os.close(terminal)
    return process.returncode, shown.decode()


def _read(terminal):
    try:
        return os.read(terminal, 1 << 16)
    except OSError:  # how Linux tells that nobody writes any more
        return b""


def test_lists_reach_the_file_and_progress_the_terminal(tmp_path, model):
    for number in range(2):
        write_song(tmp_path / "in" / f"song {number}.wav", music(SAMPLES))
    script = PROJECT_DIR / "src" / "inference.py"
    command = [sys.executable, script, "in", "-o", "out", "-c", model, "-d", "cpu", "-t", "vocals"]
    with (tmp_path / "list.txt").open("w") as listed:
        code, shown = at_a_terminal(command, tmp_path, listed)
    assert code == 0
    expected = [f"in/song {number}.wav → out/song {number}_vocals.wav" for number in range(2)]
    assert (tmp_path / "list.txt").read_text().splitlines() == [*expected, "2 separated"]
    assert "→" not in shown
    assert "0/2" in shown
    assert "song 1.wav" in shown


def test_quiet_leaves_errors_and_notes(tmp_path, separate, capsys):
    write_song(tmp_path / "in" / "song.wav", music(SAMPLES))
    (tmp_path / "in" / "bad.mp3").write_text("no song")
    assert separate("--quiet") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error: `in/bad.mp3`: it is no audio, or damaged beyond decoding\n"
    assert (tmp_path / "out" / "song_vocals.wav").is_file()


def test_json_tells_what_the_manifest_tells(tmp_path, model, separate, capsys):
    write_song(tmp_path / "in" / "song.wav", music(44_100))
    (tmp_path / "in" / "bad.mp3").write_text("no song")
    (tmp_path / "in" / "gone.wav").symlink_to("nowhere")
    assert separate("--json") == 1
    told = {one["song"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {song: one["state"] for song, one in told.items()} == {
        "in/song.wav": "done",
        "in/bad.mp3": "failed",
        "in/gone.wav": "failed",
    }
    recorded = {
        one["song"]: one for one in map(json.loads, (tmp_path / "out" / MANIFEST_NAME).read_text().splitlines())
    }
    assert told["in/bad.mp3"] == recorded["in/bad.mp3"]
    assert told["in/gone.wav"]["error"] == "No such file or directory"
    stem = told["in/song.wav"]["stems"].pop("vocals")
    assert stem == {**recorded["in/song.wav"]["stems"].pop("vocals"), "file": "out/song_vocals.wav"}
    assert told["in/song.wav"] == recorded["in/song.wav"]
    assert recorded["in/song.wav"]["model"]["name"] == model.name
    assert separate("--json", "--dry-run") == 1
    again = {one["song"]: one for one in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {song: one["state"] for song, one in again.items()} == {
        "in/song.wav": "complete",
        "in/bad.mp3": "new",
        "in/gone.wav": "failed",
    }
    assert again["in/song.wav"]["stems"] == {"vocals": stem}


@pytest.mark.parametrize("strict", [False, True])
def test_a_damaged_song_has_an_exit_code_of_its_own(tmp_path, separate, capsys, strict):
    truncated(tmp_path / "in" / "cut.flac")
    write_song(tmp_path / "in" / "whole.wav", music(SAMPLES))
    damage = "it is damaged (flac decoder lost sync)"
    for separated in (2 - strict, 0):
        assert separate(*["--strict"] * strict) == (1 if strict else 3)
        captured = capsys.readouterr()
        assert captured.out.splitlines()[-1].startswith(f"{separated} separated")
        if strict:
            assert captured.err == f"error: `in/cut.flac`: {damage}, which `--strict` takes for a failure\n"
        else:
            assert captured.err.startswith(f"note: `in/cut.flac`: {damage}: ")
    assert (tmp_path / "out" / "cut_vocals.wav").exists() != strict
    lines = [json.loads(line) for line in (tmp_path / "out" / MANIFEST_NAME).read_text().splitlines()]
    assert lines[0]["state"] == ("failed" if strict else "damaged")
    assert separate("--strict") == 1
    (tmp_path / "in" / "bad.mp3").write_text("no song")
    assert separate() == 1, "a failure outranks damage"


def test_help_tells_the_exit_codes(capsys):
    with pytest.raises(SystemExit):
        demix.parse(["--help"])
    help_text = " ".join(capsys.readouterr().out.split())
    assert "3 none failed, but some are damaged, and their stems end early" in help_text


def test_names_never_command_the_terminal(tmp_path, separate, capsys):
    name = "a\x1b]0;owned\x07\x9b31m\u202e.wav"
    write_song(tmp_path / "in" / name, music(SAMPLES))
    (tmp_path / "in" / f"{name}.mp3").write_text("no song")
    assert separate() == 1
    assert separate("--json") == 1
    assert separate("--dry-run", "--name", "{track}_{stem}_\x1b[31m") == 0
    with pytest.raises(SystemExit):
        run(lambda: demix.main([f"nothing\x1b[31m\u202e{name}", "-c", "no such\x1b[31m model"]))
    with pytest.raises(SystemExit):
        run(lambda: demix.main(["in", "--name", "\x1b[31m{x}"]))
    with pytest.raises(SystemExit):
        run(lambda: demix.main(["in", "--format", "\x1b[31m{x}"]))
    captured = capsys.readouterr()
    assert {character for character in captured.out + captured.err if not character.isprintable()} == {"\n"}


def test_the_bar_of_all_songs_goes_by_the_bytes_of_their_files():
    with Progress(disable=True) as progress:
        shown = Bars(progress, [100, 300])
        with shown.song(0, Path("a.wav")):
            pass
        assert progress.tasks[0].completed == 100
        with shown.song(1, Path("b[red].wav")) as begin:
            advance = begin(60.0)
            advance(15.0)
            assert progress.tasks[0].completed == 100 + 300 / 4
            assert progress.tasks[1].fields["count"] == "15/60 s"
            advance(90.0)  # a header that told too little
            assert progress.tasks[0].completed == 400
        assert (progress.tasks[0].fields["count"], len(progress.tasks)) == ("2/2", 1)


def test_where_no_terminal_is_there_is_no_bar(capsys):
    with bars([1]) as shown, shown.song(0, Path("a.wav")) as begin:
        begin(1.0)(1.0)
    assert capsys.readouterr() == ("", "")


def test_what_is_said_twice_is_all_meant():
    """``-i A -i B``, as ``-c A -c B``: the first song was left out, with exit code 0."""
    args = demix.parse(
        ["a", "-i", "b", "-i", "c", "d", "-t", "vocals", "-t", "bass", "--weights", "2", "--weights", "1"]
    )
    assert [*map(str, args.songs)] == ["a", "b", "c", "d"]
    assert (args.targets, args.weights) == (["vocals", "bass"], [2, 1])
    args = live.parse(["--mute", "a", "--mute", "b", "--gain", "c=1", "--gain", "d=2", "-t", "e", "-t", "f"])
    assert (args.mute, args.gain, args.targets) == (["a", "b"], ["c=1", "d=2"], ["e", "f"])
    args = evaluate.parse(["-d", "x", "-t", "a", "-t", "b", "--metrics", "si-sdr", "--metrics", "bsseval"])
    assert (args.target, args.metrics) == (["a", "b"], ["si-sdr", "bsseval"])
    args = app.parse(["-c", "a", "-c", "b", "--allow-host", "c", "--allow-host", "d"])
    assert (args.ckpt_path, args.allow_host) == (["a", "b"], ["c", "d"])
