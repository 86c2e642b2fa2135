"""What goes into the live program, what comes out, and how late its network is: for the tests of its rooms."""

import contextlib
import io
import subprocess
import sys

import pytest
import torch

import demixer.errors
from demixer import Separator
from demixer.commands import live
from tests.conftest import PROJECT_DIR
from tests.live_stand_in import HOP, StandInSeparator, guard_of, mix_of
from tests.song_files import noise

# Samples as bytes


def pcm(waveform):
    return waveform.T.contiguous().numpy().tobytes()


def samples(content):
    return torch.frombuffer(bytearray(content), dtype=torch.float32).reshape(-1, 2).T


def broken(place, value):
    mixture = noise(1_000)
    mixture[1, place] = value
    return pcm(mixture)


# Late blocks


def in_time(mixture, on_time, block=HOP, slack=1, **choice):
    """What a guard gives whose network works up to block ``on_time(k)``, and no further, before block k leaves."""
    guard, backlog, stats = guard_of(mix_of(**choice), block, slack)
    return driven(guard, backlog, mixture, on_time), guard, stats


def driven(guard, backlog, mixture, on_time):
    out, done = [], 0
    for number, part in enumerate(mixture.split(guard.block_samples, dim=-1)):
        until = on_time(number)
        while done <= until and backlog.work():
            done += 1
        out.append(guard.tick(part))
    return torch.cat(out, dim=-1)


def never_late(number):
    return number


def late(signal, samples):
    return torch.nn.functional.pad(signal, (samples, 0))[:, : signal.shape[-1]]


def held_up(first, last):
    """The network rests from before block ``first`` leaves until ``last`` has left, and then does all at once."""
    return lambda number: first - 2 if first <= number <= last else number


# The command


shown = []  # what the runs of a test wrote to stderr, and their exit codes


def run(monkeypatch, content, *arguments, separator=None):
    """What a user sees: the samples that come out, what stderr says, and the exit code."""
    separator = StandInSeparator() if separator is None else separator
    out, errors = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with monkeypatch.context() as patch, contextlib.redirect_stderr(errors):
        patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)) if isinstance(content, bytes) else content)
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "argv", ["live.py", "-c", "LIVE", *map(str, arguments)])
        patch.setattr(Separator, "from_pretrained", lambda *_: separator)
        patch.setattr("demixer.live.playing.prepare_process", lambda threads: None)  # of this process, for all tests
        with pytest.raises(SystemExit) as ended:
            demixer.errors.run(live.main)
        out.flush()
    shown.append((errors.getvalue(), ended.value.code))
    return out.buffer.getvalue(), errors.getvalue(), ended.value.code


def child(model, *arguments, **streams):
    command = [sys.executable, str(PROJECT_DIR / "src" / "live.py"), "-c", model, *arguments]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen([*map(str, command)], **streams)
