"""The program ``demix-live`` as a user sees it: what it gives, what it says, and how it ends."""

import contextlib
import io
import os
import signal
import time

import pytest
import torch

from demixer import Separator
from demixer.commands import live
from demixer.datasets.stem_files import read_stem_file
from demixer.errors import UserError
from demixer.evaluation.metrics import usdr
from demixer.live import control
from demixer.live.desk import COMMANDS, Desk
from demixer.sources import SOURCES
from example.excerpt import excerpt_file
from tests.live_runs import broken, child, pcm, run, samples, shown
from tests.live_stand_in import HOP
from tests.song_files import music, noise, write_tiny_model


@pytest.fixture(autouse=True)
def row(record_property):
    """What the table of bad inputs shows of a test."""
    shown.clear()
    yield
    record_property("told", list(shown))


@pytest.mark.parametrize(
    ("arguments", "share"),
    [
        (["-t", "vocals"], -0.5),
        (["--mute", "vocals"], 1.5),
        (["--gain", "vocals=-20", "drums=-20"], 1.75 - 0.075),
        (["-t", "vocals", "--block", 4 * HOP], -0.5),
        (["-t", "vocals", "--channels", "1"], -0.5),
        (["-t", "vocals", "--rate", "44100"], -0.5),
    ],
    ids=str,
)
def test_the_command_gives_what_was_asked_for(monkeypatch, arguments, share):
    mixture = noise(20_000)
    out, errors, code = run(monkeypatch, pcm(mixture), *arguments)
    assert (code, errors) == (0, "")
    assert (samples(out) - share * mixture).abs().max() < 1e-6


def test_the_command_gives_two_stems_side_by_side(monkeypatch):
    mixture = noise(5_000)
    out, _, code = run(monkeypatch, pcm(mixture), "--two-stems", "drums")
    out = torch.frombuffer(bytearray(out), dtype=torch.float32).reshape(-1, 4).T
    assert code == 0
    assert (out - torch.cat([-0.25 * mixture, 1.25 * mixture])).abs().max() < 1e-6


def test_the_command_follows_lines_and_tells_the_figures(monkeypatch, tmp_path):
    """The file is read at once, so all but the first ramp is as it says."""
    (tmp_path / "lines").write_text("solo drums\nkazoo 3\n")
    mixture = noise(200_000)
    out, errors, code = run(monkeypatch, pcm(mixture), "--control", tmp_path / "lines", "--stats")
    assert code == 0
    assert (samples(out) + 0.25 * mixture)[:, 150_000:].abs().max() < 1e-6
    assert "note: control: there is no stem kazoo to be heard: there are vocals, drums, rest\n" in errors
    assert "samples   200000 in, 200000 out (4.5 s), 0 clipped\n" in errors
    assert "latency   15.9 ms algorithmic + 5.8 ms of blocks" in errors


def test_bytes_that_are_no_whole_sample_cost_a_line_and_the_exit_code(monkeypatch):
    out, errors, code = run(monkeypatch, pcm(noise(1_000)) + b"123", "-t", "vocals")
    assert errors == "note: the input's last 3 bytes are no whole sample of all channels: left out\n"
    assert (len(out), code) == (8_000, 3)


def test_what_clips_costs_a_line(monkeypatch):
    _, errors, code = run(monkeypatch, bytes(range(256)) * 100, "--format", "s16le", "--gain", "rest=20")
    assert code == 0
    assert errors.startswith("note: ")
    assert errors.endswith(" samples were too loud for s16le and clipped: lower them with --gain\n")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("content", "arguments", "told"),
    [
        (b"", ["-t", "vocals"], "the input is empty: did the program before the pipe fail?"),
        (b"", ["-t", "vocals", "--stats"], "the input is empty: did the program before the pipe fail?"),
        (None, ["-t", "vocals"], "stdin is closed: pipe samples in, as from `ffmpeg -i SONG"),
        (Terminal(), ["-t", "vocals"], "stdin is a terminal: pipe samples in, as from `ffmpeg -i SONG"),
        (broken(0, float("nan")), ["-t", "vocals"], "sample 0 of the input is infinite or not a number"),
        (b"12345678", ["-t", "kazoo"], "the model has no target kazoo: it separates vocals, drums"),
        (b"12345678", ["--mute", "kazoo"], "the model has no target kazoo: it separates vocals, drums"),
        (b"12345678", [], "the output would be the mixture itself: say what to hear with `-t`"),
        (b"12345678", ["--gain", "vocals"], "`--gain` (='vocals') must be a stem and dB, as in vocals=-6"),
        (b"12345678", ["--gain", "vocals=x"], "the gain 'x' is no number of dB: as in -6"),
        (b"12345678", ["--gain", "vocals=99"], "the gain 99 dB must be at most 20: lower the others instead"),
        (b"12345678", ["-t", "vocals", "--two-stems", "drums"], "`--two-stems` names the stem that stands apart"),
        (
            b"12345678",
            ["-t", "vocals", "--rate", "48000"],
            "`--rate` (=48000): the model hears 44100 Hz: resample before, as with `ffmpeg -ar 44100`",
        ),
        (b"12345678", ["-t", "vocals", "--channels", "6"], "`--channels` (=6) must be 1 or 2: mix it down"),
        (b"12345678", ["-t", "vocals", "--format", "f64le"], "`format` (='f64le') must be one of f32le, s16le"),
        (
            b"12345678",
            ["-t", "vocals", "--block", "100"],
            "`--block` (=100) must be a multiple of the model's hop",
        ),
        (b"12345678", ["-t", "vocals", "--block", "-256"], "`--block` (=-256) must be a multiple of the model's hop"),
        (b"12345678", ["-t", "vocals", "--slack", "0"], "`--slack` (=0) must be at least 1 block"),
        (b"12345678", ["--control", "-"], "`--control -`: stdin holds the samples: give a fifo, or /dev/tty"),
        (b"12345678", ["--control", "/nowhere"], "cannot read the control lines of `/nowhere`"),
        (b"12345678", ["--control", "/"], "`--control` (=/) is a folder: give a fifo, a terminal or a file"),
        (b"12345678", ["--control", ""], "argument --control: the name is empty"),
        (b"", ["-t", "vocals", "--in", "0", "--realtime"], "`--format` and `--realtime` are for pipes: leave them out"),
        (b"", ["-t", "vocals", "--out", "0", "--format", "s16le"], "`--format` and `--realtime` are for pipes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_is_one_line(monkeypatch, content, arguments, told):
    out, errors, code = run(monkeypatch, content, *arguments)
    assert errors.startswith(f"error: {told}")
    assert errors.count("\n") == 1
    assert (out, code) == (b"", 2)


def test_a_model_that_hears_the_future_is_refused(monkeypatch, tmp_path):
    model = Separator.from_pretrained(write_tiny_model(tmp_path), "cpu", "fp32")
    out, errors, code = run(monkeypatch, b"12345678", "-t", "vocals", separator=model)
    assert errors.startswith("error: the model's network (BandSplitRNN) is not causal")
    assert (out, code) == (b"", 2)


def test_the_shipped_model_separates_a_real_excerpt_as_it_plays():
    true, _ = read_stem_file(excerpt_file())
    separator = Separator.from_pretrained(live.parse([]).ckpt_path, "cpu", "fp32")
    player = separator.live()
    blocks = [player.process(block) for block in true["mixture"].split(12_345, dim=-1)]
    stems = torch.cat([*blocks, player.flush()], dim=-1)[..., player.latency_samples :]
    estimates = dict(zip(separator.targets, stems, strict=True))
    gained_db = [usdr(true[name], estimates[name]) - usdr(true[name], true["mixture"]) for name in SOURCES]
    assert (separator.latency_samples, player.latency_samples) == (2047, 2047)
    assert min(gained_db) > 4


def test_impossible_threads_are_refused(monkeypatch):
    from demixer.live.playing import prepare_process

    with pytest.raises(UserError, match=r"`--threads` \(=0\) must be at least 1"):
        prepare_process(0)


# Lines from elsewhere


def eventually(condition):
    for _ in range(50_000):
        if condition():
            return True
        time.sleep(1e-3)
    return False


def test_a_fifo_may_be_written_to_again_and_again_until_it_is_gone(tmp_path):
    fifo, told = tmp_path / "control", []
    os.mkfifo(fifo)
    desk = Desk(["vocals", "drums"])
    thread = control.listen(desk, fifo, told.append)
    fifo.write_text("vocals -20\nmute kazoo\n")
    assert eventually(lambda: desk.gains == pytest.approx((0.1, 1, 1)) and told)
    assert told == ["control: there is no stem kazoo to be heard: there are vocals, drums, rest"]
    with fifo.open("w") as lines:
        lines.write("solo drums\n")
        fifo.unlink()
    thread.join()
    assert desk.gains == (0, 1, 0)
    assert told[1:] == [f"control: no more lines come from `{fifo}`: No such file or directory"]


def test_a_file_is_followed_once(tmp_path):
    (tmp_path / "lines").write_bytes(b"mute drums\n\xff\x1b[2J\nvocals -20")
    desk, told = Desk(["vocals", "drums"]), []
    control.listen(desk, tmp_path / "lines", told.append).join()
    assert desk.gains == pytest.approx((0.1, 0, 1))
    assert told == [f"control: `\ufffd\\x1b[2J` is none of {COMMANDS}"]


# As a process of its own


def test_only_samples_come_out_of_a_child_process(live_model):
    mixture = music(30_000)
    out, errors = child(live_model, "--mute", "vocals", "--stats", "--realtime").communicate(pcm(mixture), timeout=100)
    assert samples(out).shape == (2, 30_000)
    lines = errors.decode().splitlines()
    assert [line.split()[0] for line in lines if not line.startswith("skipped")] == ["latency", "a", "late", "samples"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (None, 141)])
def test_an_interruption_and_a_dead_sink_end_it_without_a_traceback(live_model, number, code):
    process = child(
        live_model, "-t", "vocals", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
    )
    with process:
        process.stdin.write(pcm(noise(4_000)))
        process.stdin.flush()
        assert len(process.stdout.read(8_000)) == 8_000
        if number is None:
            process.stdout.close()
            with contextlib.suppress(BrokenPipeError):
                while True:
                    process.stdin.write(pcm(noise(4_000)))
        else:
            process.send_signal(number)
        errors = process.stderr.read().decode()
    assert process.returncode == code
    assert errors == ("interrupted\n" if number else "")
