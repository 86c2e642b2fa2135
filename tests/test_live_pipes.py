"""Live separation from pipe to pipe: as much comes out as goes in, and the figures tell how late it is."""

import io
import sys
import time

import pytest
import torch

from demixer import Separator
from demixer.errors import UserError
from demixer.live.pcm import PcmReader, PcmWriter
from demixer.live.pipes import play_all, play_in_time
from demixer.live.stats import Durations, Stats
from demixer.live.telling import Teller
from tests.live_runs import broken, late, pcm, run, samples
from tests.live_stand_in import HOP, LATENCY, RATE_HZ, guard_of, mix_of, stats_of
from tests.song_files import music, noise


def piped(content, format="f32le", **choice):
    """The bytes that come out for bytes that go in, and the figures."""
    mix, out = mix_of(**choice), io.BytesIO()
    stats = stats_of(mix)
    writer = PcmWriter(out, format)
    play_all(mix, HOP, PcmReader(io.BytesIO(content), format, 2).blocks(HOP), writer.write, stats)
    stats.clipped_samples = writer.clipped_samples
    return out.getvalue(), stats


@pytest.mark.parametrize("length", [1, HOP - 1, HOP, HOP + 1, LATENCY, int(3.7 * HOP), 5_000])
def test_a_pipe_gives_as_much_as_it_takes_and_begins_where_it_begins(length):
    mixture = noise(length)
    out, stats = piped(pcm(mixture), targets=["vocals"])
    assert (stats.samples_in, stats.samples_out) == (length, length)
    assert torch.equal(samples(out), -0.5 * mixture)


def test_integers_are_as_loud_and_clip_where_they_must():
    mixture = (noise(5_000) * 2**15).round().short()
    out, stats = piped(pcm(mixture), "s16le", gains_db={"rest": -200.0})
    expected = (-0.75 * mixture.double()).round()
    out = torch.frombuffer(bytearray(out), dtype=torch.int16).reshape(-1, 2).T
    assert (out - expected).abs().max() <= 1
    assert stats.clipped_samples == 0
    out, stats = piped(pcm(mixture), "s16le", mute=["vocals"], gains_db={"rest": 6.0})
    out = torch.frombuffer(bytearray(out), dtype=torch.int16).reshape(-1, 2).T
    loud = (-0.25 + 1.75 * 10**0.3) * mixture.double()
    beyond = (loud > 32_767.5) | (loud < -32_768.5)
    assert stats.clipped_samples == beyond.sum() > 1_000
    assert (out[beyond] == torch.where(loud > 0, 32_767, -32_768)[beyond]).all()


def test_bytes_that_are_no_whole_sample_are_left_out():
    reader = PcmReader(io.BytesIO(pcm(noise(300)) + b"12345"), "f32le", 2)
    assert [block.shape[-1] for block in reader.blocks(256)] == [256, 44]
    assert reader.dropped_bytes == 5
    reader = PcmReader(io.BytesIO(pcm(noise(256)) + b"123"), "f32le", 2)
    assert [block.shape[-1] for block in reader.blocks(256)] == [256]
    assert reader.dropped_bytes == 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the input is empty: did the program before the pipe fail?"),
        (b"1234567", "the input is empty"),
        (b"RIFF" + bytes(1_000), "the input is a WAV file, not bare samples: let ffmpeg write `-f f32le`"),
        (broken(700, float("nan")), "sample 700 of the input is infinite or not a number: is it bare `f32le`"),
        (broken(3, float("-inf")), "sample 3 of the input is infinite or not a number"),
        (broken(256, 1e30), "sample 256 of the input is far beyond ±1: is it bare `f32le`"),
    ],
    ids=["empty", "less than a sample", "wav", "nan", "infinite", "too loud"],
)
def test_what_is_no_sound_is_refused(content, told):
    with pytest.raises(UserError, match=told):
        piped(content, targets=["vocals"])


def test_what_came_before_a_bad_sample_is_played():
    out = io.BytesIO()
    mix = mix_of(targets=["vocals"])
    blocks = PcmReader(io.BytesIO(pcm(noise(4_000)) + broken(0, float("nan"))), "f32le", 2).blocks(HOP)
    with pytest.raises(UserError, match="sample 4000 "):
        play_all(mix, HOP, blocks, PcmWriter(out, "f32le").write, stats_of(mix))
    assert len(out.getvalue()) // 8 == 4_000 // HOP * HOP - LATENCY


def test_a_pipe_in_real_time_gives_at_every_moment_as_much_as_it_takes():
    """Its blocks come when the network, in a thread of its own, has done those before: so it is never late."""
    mixture, mix, parts = noise(50 * HOP + 17), mix_of(targets=["vocals"]), []
    guard, backlog, stats = guard_of(mix)

    def blocks():
        for block in mixture.split(HOP, dim=-1):
            assert sum(part.shape[-1] for part in parts) == stats.samples_in == stats.samples_out
            yield block
            while stats.blocks - 1 not in backlog._done:
                time.sleep(1e-4)

    backlog.start()
    try:
        play_in_time(guard, blocks(), parts.append, stats)
    finally:
        backlog.close()
    assert torch.equal(torch.cat(parts, dim=-1), late(-0.5 * mixture, guard.latency_samples))
    assert stats.late_blocks == 0


@pytest.mark.parametrize(("at_once", "work_blocks", "in_time"), [(1, 0.9, True), (8, 0.9, True), (8, 1.5, False)])
def test_blocks_that_come_at_once_are_needed_one_after_the_other(monkeypatch, at_once, work_blocks, in_time):
    """A network takes a share of a block's time, by a clock of its own; a burst of blocks comes when its last would."""
    now, block_seconds = 0.0, HOP / RATE_HZ
    guard, backlog, stats = guard_of(mix_of(targets=["vocals"]))
    stats.clock = lambda: now

    def work_until(seconds, enough=lambda: False):
        nonlocal now
        while not enough() and now + work_blocks * block_seconds <= seconds and backlog.work():
            now += work_blocks * block_seconds
        now = now if enough() else max(now, seconds)

    def bursts():
        for i, block in enumerate(noise(160 * HOP).split(HOP, dim=-1)):
            if i % at_once == 0:
                work_until((i + at_once) * block_seconds)
            yield block

    monkeypatch.setattr(backlog, "wait", lambda n, seconds: work_until(now + seconds, lambda: n in backlog._done))
    play_in_time(guard, bursts(), lambda _: None, stats)
    assert (stats.late_blocks == 0) is in_time
    assert now < (160 + at_once) * block_seconds  # and what comes out never falls behind


def test_a_pipe_gives_what_demix_gives(monkeypatch, live_model):
    separator, mixture = Separator.from_pretrained(live_model, "cpu", "fp32"), music(30_007)
    out, errors, code = run(monkeypatch, pcm(mixture), "-t", "vocals", separator=separator)
    assert (code, errors) == (0, "")
    vocals = separator(mixture)["vocals"]
    assert (samples(out) - vocals).abs().max() < 1e-5 < 1e-2 < vocals.abs().max()


@pytest.mark.parametrize(("block", "block_ms"), [(HOP, "0.0"), (4 * HOP, "17.4")])
def test_in_a_pipe_a_hop_at_once_adds_nothing_to_the_latency(monkeypatch, live_model, block, block_ms):
    separator = Separator.from_pretrained(live_model, "cpu", "fp32")
    arguments = ("-t", "vocals", "--stats", "--block", block)
    _, errors, code = run(monkeypatch, pcm(noise(5_000)), *arguments, separator=separator)
    assert code == 0
    assert f"latency   11.6 ms algorithmic + {block_ms} ms of blocks, " in errors


# Figures


def test_quantiles_are_within_a_percent_and_the_worst_is_exact():
    times = torch.rand(5_000, generator=torch.Generator().manual_seed(0)).double().exp() / 300
    durations = Durations()
    for seconds in times.tolist():
        durations.add(seconds)
    for share in (0.01, 0.5, 0.99):
        assert durations.quantile(share) == pytest.approx(times.quantile(share).item(), rel=0.011)
    assert durations.worst == times.max()
    assert Durations().quantile(0.5) == 0.0


def test_the_figures_of_a_run_with_a_clock_of_its_own():
    """A hop takes 1 ms of 5.8, but the tenth, which takes 50; to write takes as long again."""
    seconds = iter(torch.arange(10_000).double().mul(1e-3).tolist())
    mix = mix_of(targets=["vocals"])
    stats = Stats(RATE_HZ, HOP, LATENCY, 100, clock=lambda: next(seconds))
    mixture = noise(100 * HOP)
    play_all(mix, HOP, mixture.split(HOP, dim=-1), lambda block: None, stats)
    assert stats.hops.quantile(0.99) == pytest.approx(1e-3, rel=0.011)
    assert stats.latency_seconds == pytest.approx((LATENCY + 100) / RATE_HZ + 3e-3, rel=0.011)
    assert stats.summary().splitlines() == [
        "latency   15.9 ms algorithmic + 2.3 ms of blocks, measured 21.1 ms",
        "a hop     1.00 ms median, 1.00 99 %, 1.00 worst, of 5.80",
        "samples   25600 in, 25600 out (0.6 s), 0 clipped",
    ]
    assert stats.line() == (
        "0:00.6 · latency 21.1 ms · a hop 1.00 ms median, 1.00 99 %, 1.00 worst, of 5.80 · in 25600, out 25600"
    )


def test_a_terminal_is_told_every_second_and_a_file_only_at_the_end(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stats = stats_of(mix_of())
    stats.passed(HOP, HOP, 0.0)
    for errors, lines in ((Terminal(), 3), (io.StringIO(), 0)):
        monkeypatch.setattr(sys, "stderr", errors)
        now = [0.0]
        teller = Teller(stats, True, lambda now=now: now[0])
        for _ in range(12):
            now[0] += 0.25
            teller()
        assert errors.getvalue().count("\r\x1b[K") == lines
        teller.end()
        assert errors.getvalue().endswith("0 clipped\n")
