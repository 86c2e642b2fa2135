"""The live program: what is heard, from pipe to pipe and through a sound card, and what happens when it comes late.

No test waits for a clock: the network's lateness is the test's own doing.
"""

import contextlib
import gc
import io
import os
import signal
import subprocess
import sys
import time
from math import ceil
from types import SimpleNamespace

import pytest
import torch
from live_stand_in import (
    HOP,
    LATENCY,
    RATE_HZ,
    StandInSeparator,
    guard_of,
    mix_of,
    stats_of,
    write_tiny_live_model,
)

import demixer.errors
from demixer import Separator
from demixer.commands import live
from demixer.errors import UserError
from demixer.live import control, soundcard
from demixer.live.choice import Choice, gains_of
from demixer.live.desk import COMMANDS, Desk
from demixer.live.mixing import Mixer, Ramp
from demixer.live.pcm import PcmReader, PcmWriter
from demixer.live.pipes import play_all, play_in_time
from demixer.live.soundcard import Card
from demixer.live.stats import Durations, Stats
from demixer.live.telling import Teller
from tests.conftest import PROJECT_DIR
from tests.song_files import music, noise, write_tiny_model

RAMP = round(0.02 * RATE_HZ)


def heard(mix, mixture, sizes=(HOP,)):
    """What comes out of a mix for the whole mixture, fed in blocks of these sizes in turn, without the latency."""
    parts, place, turn = [], 0, 0
    while place < mixture.shape[-1]:
        parts.append(mix.process(mixture[:, place : place + sizes[turn % len(sizes)]]))
        place, turn = place + sizes[turn % len(sizes)], turn + 1
    return torch.cat([*parts, mix.flush()], dim=-1)[:, LATENCY:]


# What is heard


def test_all_as_loud_as_it_is_is_the_mixture_to_the_last_bit():
    mixture = noise(5_000)
    assert torch.equal(heard(mix_of(), mixture), mixture)


@pytest.mark.parametrize(
    ("choice", "share"),
    [
        ({"targets": ["vocals"]}, -0.5),
        ({"targets": ["drums", "vocals"]}, -0.75),
        ({"mute": ["vocals"]}, 1.5),
        ({"mute": ["vocals", "drums", "rest"]}, 0.0),
        ({"gains_db": {"vocals": -20.0}}, 1 + 0.5 * 0.9),
        ({"gains_db": {"vocals": 20.0}}, 1 - 0.5 * 9),
        ({"gains_db": {"drums": float("-inf")}}, 1.25),
        ({"gains_db": {"rest": -20.0}}, -0.75 + 0.1 * 1.75),
        ({"targets": ["vocals"], "gains_db": {"rest": -20.0}}, -0.5 + 0.1 * 1.5),
        ({"targets": ["vocals", "drums"], "mute": ["drums"]}, -0.5),
    ],
    ids=str,
)
def test_what_is_chosen_is_heard(choice, share):
    """The stems are -0.5 and -0.25 of the mixture, so the rest is 1.75 of it."""
    mixture = noise(5_000)
    assert (heard(mix_of(**choice), mixture, (1, 300, 0, 77)) - share * mixture).abs().max() < 2e-6


def test_two_stems_have_channels_of_their_own_and_add_up_to_the_mixture():
    mixture = noise(3_000)
    both = heard(mix_of(two_stems="drums"), mixture)
    assert both.shape == (4, 3_000)
    assert (both[:2] + 0.25 * mixture).abs().max() < 1e-6
    assert (both[:2] + both[2:] - mixture).abs().max() < 1e-6


def test_what_is_heard_does_not_depend_on_the_blocks():
    mixture = noise(6_000)
    whole, parts = (heard(mix_of(mute=["drums"]), mixture, sizes) for sizes in ((6_000,), (1, 999, 0, 64)))
    assert torch.equal(whole, parts)


def test_a_mix_that_is_reset_has_forgotten_all():
    mix = mix_of(mute=["vocals"])
    mix.process(noise(5_000))
    mix.reset()
    assert not mix.process(torch.zeros(2, 5_000)).any()


@pytest.mark.parametrize("size", [1, 7, 256, 1_000])
def test_a_change_of_gain_clicks_nowhere(size):
    """A constant signal: every step is the gain's, and none is larger than a straight line over 20 ms needs."""
    mixture = torch.ones(1, LATENCY + 8_000)
    mix = mix_of({"all": -1.0}, channels=1)
    lines = {1_500: "mute all", 1_900: "all -20", 3_000: "all 0", 4_000: "solo rest", 5_000: "reset"}
    out = []
    for place in range(0, mixture.shape[-1], size):
        for at in [at for at in lines if at + LATENCY <= place]:
            mix.desk.do(lines.pop(at))
        out.append(mix.process(mixture[:, place : place + size]))
    gains = torch.cat(out, dim=-1)[0, LATENCY:]
    assert gains.diff().abs().max() <= 1 / RAMP + 1e-6
    assert gains.min() < 1e-6
    assert len(gains.round(decimals=3).unique()) > 100
    assert gains[-1] == 1.0


def test_a_ramp_takes_its_time_whatever_the_blocks():
    whole, parts = Ramp([1.0, 0.0], 100), Ramp([1.0, 0.0], 100)
    whole.aim([0.0, 2.0])
    parts.aim([0.0, 2.0])
    path = torch.cat([parts.take(n).expand(2, n) for n in (1, 0, 33, 66, 20)], dim=-1)
    assert (path - whole.take(120)).abs().max() < 1e-6
    assert torch.equal(path[:, 99:], torch.tensor([[0.0], [2.0]]).expand(2, 21))
    assert path[0, :99].diff().abs().max() < 0.01 + 1e-6


def test_a_mixer_of_no_samples_changes_nothing():
    mixer = Mixer(torch.ones(1, 2, dtype=torch.bool), [1.0, 1.0], RATE_HZ)
    nothing = torch.zeros(1, 2, 0)
    assert mixer.mix(nothing, nothing[0], [0.0, 1.0]).shape == (2, 0)


# The desk


@pytest.mark.parametrize(
    ("lines", "gains"),
    [
        (["vocals -20"], (0.1, 1, 1)),
        (["vocals -20dB", "vocals 0"], (1, 1, 1)),
        (["mute vocals rest"], (0, 1, 0)),
        (["vocals -20", "mute vocals", "unmute vocals"], (0.1, 1, 1)),
        (["mute vocals", "vocals -20"], (0.1, 1, 1)),
        (["solo drums", "vocals -20"], (0.1, 1, 0)),
        (["solo drums vocals"], (1, 1, 0)),
        (["rest -inf"], (1, 1, 0)),
        (["mute drums", "vocals 20", "reset"], (1, 1, 1)),
        (["", "  \n"], (1, 1, 1)),
    ],
    ids=str,
)
def test_lines_change_gains(lines, gains):
    desk = Desk(["vocals", "drums"])
    for line in lines:
        desk.do(line)
    assert desk.gains == pytest.approx(gains)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("vocls -6", "there is no stem vocls to be heard: there are vocals, drums, rest"),
        ("mute drums piano", "there is no stem piano to be heard"),
        ("vocals loud", "the gain 'loud' is no number of dB: as in -6"),
        ("vocals nan", r"the gain nan dB must be at most 20"),
        ("vocals 60", r"the gain 60 dB must be at most 20: lower the others instead"),
        ("mute", r"there is no stem|`mute` is none of"),
        ("vocals -6 -7", "`vocals -6 -7` is none of STEM DB, mute STEM …"),
        ("reset now please", "is none of"),
    ],
    ids=str,
)
def test_a_line_that_cannot_be_followed_changes_nothing(line, told):
    desk = Desk(["vocals", "drums"], {"vocals": -20.0})
    with pytest.raises(UserError, match=told):
        desk.do(line)
    assert desk.gains == pytest.approx((0.1, 1, 1))


FOUR = ("vocals", "drums", "bass", "other")


@pytest.mark.parametrize(
    ("choice", "computed"),
    [
        ({"targets": ["bass", "drums"]}, ("drums", "bass")),
        ({"mute": ["vocals"]}, ("vocals",)),
        ({"gains_db": {"vocals": -6, "rest": -3}}, ("vocals",)),
        ({"gains_db": {"rest": -3}}, FOUR),
        ({"two_stems": "other"}, ("other",)),
        ({"two_stems": "other", "mute": ["bass"]}, ("bass", "other")),
        ({"mute": ["vocals"], "changes": True}, FOUR),
        ({"targets": ["vocals"], "changes": True}, ("vocals",)),
    ],
    ids=str,
)
def test_only_what_is_needed_is_computed(choice, computed):
    assert Choice(**choice).computed(FOUR) == computed


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Choice(["bass"], "vocals"), "`--two-stems` names the stem that stands apart: leave `--target` out"),
        (lambda: Choice().computed(FOUR), "the output would be the mixture itself: say what to hear"),
        (lambda: Choice(["kazoo"]).computed(FOUR), "the model has no target kazoo: it separates vocals, drums"),
        (lambda: Choice(["bass"], mute=["vocals"]).desk(["bass"]), "there is no stem vocals to be heard"),
        (lambda: gains_of(["vocals"]), r"`--gain` \(='vocals'\) must be a stem and dB, as in vocals=-6"),
        (lambda: gains_of(["vocals=loud"]), "the gain 'loud' is no number of dB"),
    ],
)
def test_a_choice_that_cannot_be(make, told):
    with pytest.raises(UserError, match=told):
        make()


# Pipes


def piped(content, format="f32le", **choice):
    """The bytes that come out for bytes that go in, and the figures."""
    mix, out = mix_of(**choice), io.BytesIO()
    stats = stats_of(mix)
    writer = PcmWriter(out, format)
    play_all(mix, HOP, PcmReader(io.BytesIO(content), format, 2).blocks(HOP), writer.write, stats)
    stats.clipped_samples = writer.clipped_samples
    return out.getvalue(), stats


def pcm(waveform):
    return waveform.T.contiguous().numpy().tobytes()


def samples(content):
    return torch.frombuffer(bytearray(content), dtype=torch.float32).reshape(-1, 2).T


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


def broken(place, value):
    mixture = noise(1_000)
    mixture[1, place] = value
    return pcm(mixture)


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


@pytest.mark.parametrize(("block", "slack"), [(HOP, 1), (HOP, 3), (4 * HOP, 1)])
def test_a_network_in_time_is_all_that_is_heard(block, slack):
    mixture = noise(20 * block)
    out, guard, stats = in_time(mixture, never_late, block, slack, targets=["vocals"])
    assert guard.latency_samples == LATENCY + slack * block + min(132, block // 2)
    assert torch.equal(out, late(-0.5 * mixture, guard.latency_samples))
    assert stats.late_blocks == 0


def held_up(first, last):
    """The network rests from before block ``first`` leaves until ``last`` has left, and then does all at once."""
    return lambda number: first - 2 if first <= number <= last else number


@pytest.mark.parametrize("last", [20, 21, 27])
def test_a_late_block_is_the_mixture_and_then_all_is_as_if_nothing_had_been(last):
    mixture = music(60 * HOP)
    out, guard, stats = in_time(mixture, held_up(20, last), targets=["vocals"])
    wet, dry = (late(share * mixture, guard.latency_samples) for share in (-0.5, 1.0))
    assert stats.late_blocks == last - 19
    fade, begin, end = 132 if HOP >= 264 else HOP // 2, 20 * HOP, (last + 1) * HOP
    assert torch.equal(out[:, :begin], wet[:, :begin])
    assert torch.equal(out[:, begin + fade : end + fade], dry[:, begin + fade : end + fade])
    assert torch.equal(out[:, end + 2 * fade :], wet[:, end + 2 * fade :])
    assert out.shape == mixture.shape
    assert guard.mix.live.resets == 0


def largest_step(signal):
    return signal.diff(dim=-1).abs().max().item()


@pytest.mark.parametrize("seed", range(20))
def test_lateness_at_random_neither_clicks_nor_gaps(seed):
    """No step is larger than those of both sounds and the fade between them; nothing is lost or comes twice."""
    random = torch.Generator().manual_seed(seed)
    behind = torch.randint(0, 4, (100,), generator=random).tolist()
    mixture = music(100 * HOP) + 0.3
    out, guard, stats = in_time(mixture, lambda number: number - behind[number], targets=["vocals"])
    wet, dry = (late(share * mixture, guard.latency_samples)[:, LATENCY + 2 * HOP :] for share in (-0.5, 1.0))
    out = out[:, LATENCY + 2 * HOP :]
    assert 10 < stats.late_blocks < 90
    allowed = max(largest_step(wet), largest_step(dry)) + (wet - dry).abs().max().item() / 120
    assert largest_step(out) <= allowed < 0.1
    assert ((out - torch.minimum(wet, dry)) > -1e-6).all()
    assert ((torch.maximum(wet, dry) - out) > -1e-6).all()


@pytest.mark.parametrize("later", [1, 2, 40])
def test_a_network_that_is_far_behind_begins_anew_and_is_heard_once_it_is_warm(later):
    """After a computer's sleep: what waits is skipped; of the new beginning the silence of its latency is kept back."""
    most = ceil(RATE_HZ / HOP)  # that wait: a second's
    blocks, begun = 2 * most, 19 + most  # one waited before the first that is late
    mixture = noise(blocks * HOP)
    out, guard, stats = in_time(mixture, held_up(20, begun + later), targets=["vocals"])
    wet, dry = (late(share * mixture, guard.latency_samples) for share in (-0.5, 1.0))
    assert (stats.skipped_blocks, guard.mix.live.resets) == (most, 1)
    warm = max(begun + ceil(LATENCY / HOP), begun + later) + 1  # is the first that leaves in time
    assert torch.equal(out[:, 21 * HOP : warm * HOP], dry[:, 21 * HOP : warm * HOP])
    assert torch.equal(out[:, (warm + 1) * HOP :], wet[:, (warm + 1) * HOP :])


def test_what_is_muted_stays_so_while_the_network_is_late():
    mixture = noise(40 * HOP)
    out, guard, _ = in_time(mixture, held_up(20, 30), mute=["vocals", "drums", "rest"])
    assert not out.any()
    out, guard, _ = in_time(mixture, held_up(20, 30), targets=["vocals"], gains_db={"vocals": -20.0})
    dry = late(0.1 * mixture, guard.latency_samples)
    assert (out[:, 22 * HOP : 30 * HOP] - dry[:, 22 * HOP : 30 * HOP]).abs().max() < 1e-6


def test_two_buses_share_the_mixture_while_the_network_is_late():
    mixture = noise(40 * HOP)
    out, guard, _ = in_time(mixture, held_up(20, 30), two_stems="vocals")
    dry = late(mixture, guard.latency_samples)
    assert torch.equal(out[:2] + out[2:], dry) or (out[:2] + out[2:] - dry).abs().max() < 1e-6
    assert (out[:2, 22 * HOP : 30 * HOP] - 0.5 * dry[:, 22 * HOP : 30 * HOP]).abs().max() < 1e-6


def test_what_the_network_raises_reaches_who_plays():
    mix = mix_of(targets=["vocals"])
    guard, backlog, _ = guard_of(mix)
    backlog.start()
    try:
        guard.tick(torch.full((2, HOP), float("nan")))
        while backlog._thread.is_alive():
            time.sleep(1e-4)
        with pytest.raises(ValueError, match="no block of this stream"):
            guard.tick(torch.zeros(2, HOP))
    finally:
        backlog.close()


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


# Lines from elsewhere


def eventually(condition):
    for _ in range(50_000):
        if condition():
            return True
        time.sleep(1e-3)
    return False


def test_a_fifo_may_be_written_to_again_and_again(tmp_path):
    fifo, told = tmp_path / "control", []
    os.mkfifo(fifo)
    desk = Desk(["vocals", "drums"])
    control.listen(desk, fifo, told.append)
    fifo.write_text("vocals -20\nmute kazoo\n")
    assert eventually(lambda: desk.gains == pytest.approx((0.1, 1, 1)) and told)
    assert told == ["control: there is no stem kazoo to be heard: there are vocals, drums, rest"]
    fifo.write_text("solo drums\n")
    assert eventually(lambda: desk.gains == (0, 1, 0))


def test_a_file_is_followed_once(tmp_path):
    (tmp_path / "lines").write_bytes(b"mute drums\n\xff\x1b[2J\nvocals -20")
    desk, told = Desk(["vocals", "drums"]), []
    control.listen(desk, tmp_path / "lines", told.append).join()
    assert desk.gains == pytest.approx((0.1, 0, 1))
    assert told == [f"control: `\ufffd\\x1b[2J` is none of {COMMANDS}"]


# A sound card


class Devices:
    """In place of the module ``sounddevice``: what the test hears is handed to the callback, as PortAudio does."""

    class PortAudioError(Exception):
        pass

    class CallbackAbort(Exception):  # noqa: N818
        pass

    def __init__(self, mixture=None, refuses=None, backlog=None):
        self.mixture, self.refuses, self.backlog = mixture, refuses, backlog
        self.played, self.xruns_at = [], ()

    def Stream(self, **settings):  # noqa: N802
        self.settings = settings
        if self.refuses:
            raise self.refuses
        return self

    def start(self):
        block = self.settings["blocksize"]
        of_devices = SimpleNamespace(inputBufferAdcTime=10.0, outputBufferDacTime=10.0 + block / RATE_HZ + 0.008)
        for number, part in enumerate(self.mixture.split(block, dim=-1)):
            kinds = dict.fromkeys(soundcard.XRUNS, False)
            if number in self.xruns_at:
                kinds["output_underflow"] = True
            out = torch.zeros(block, self.settings["channels"][1]).numpy()
            try:
                self.settings["callback"](part.T.numpy(), out, block, of_devices, SimpleNamespace(**kinds))
            except self.CallbackAbort:
                break
            self.played.append(torch.from_numpy(out.T))
            self.backlog.work()
        else:
            if self.refuses is None and self.backlog is not None and self.settings["device"][0] == "mute":
                return  # it calls no more, and does not tell
        self.settings["finished_callback"]()

    def close(self):
        self.closed = True


def test_a_sound_card_is_played_through_until_it_stops(monkeypatch):
    mixture = noise(50 * HOP)
    guard, backlog, stats = guard_of(mix_of(two_stems="vocals"))
    devices = Devices(mixture, backlog=backlog)
    devices.xruns_at = (3, 30)
    monkeypatch.setattr(soundcard, "portaudio", lambda: devices)
    with pytest.raises(UserError, match=r"the sound devices \(in mic, out 3\) have stopped: is one unplugged\?"):
        Card("mic", 3).play(guard, stats)
    played = torch.cat(devices.played, dim=-1)
    assert (played[:2] - late(-0.5 * mixture, guard.latency_samples)).abs().max() < 1e-6
    assert (played[2:] - late(1.5 * mixture, guard.latency_samples)).abs().max() < 1e-6
    assert (stats.xruns, stats.late_blocks, stats.samples_in, stats.samples_out) == (2, 0, 50 * HOP, 50 * HOP)
    assert stats.passages.quantile(0.5) == pytest.approx(0.008, rel=0.011)
    settings = {name: devices.settings[name] for name in ("samplerate", "blocksize", "device", "channels", "dtype")}
    assert [*settings.values()] == [RATE_HZ, HOP, ("mic", 3), (2, 4), "float32"]
    assert devices.closed


def test_what_a_device_gives_that_is_no_sound_is_silence_and_counted(monkeypatch):
    mixture = noise(20 * HOP)
    spoilt, heard_of_it = mixture.clone(), mixture.clone()
    for channel, sample, value in ((0, 700, float("nan")), (1, 701, float("-inf")), (1, 4_000, 1e30)):
        spoilt[channel, sample], heard_of_it[channel, sample] = value, 0.0
    guard, backlog, stats = guard_of(mix_of(targets=["vocals"]))
    devices = Devices(spoilt, backlog=backlog)
    monkeypatch.setattr(soundcard, "portaudio", lambda: devices)
    with pytest.raises(UserError, match="have stopped"):
        Card().play(guard, stats)
    played = torch.cat(devices.played, dim=-1)
    assert torch.equal(played, late(-0.5 * heard_of_it, guard.latency_samples))
    assert (stats.xruns, stats.late_blocks) == (2, 0)


def test_a_card_is_as_late_as_is_told(monkeypatch, model):
    """All as loud as it is is the mixture: so what is played is the mixture, as late as all of it is."""
    separator, mixture, hops = Separator.from_pretrained(model, "cpu", "fp32"), noise(40 * HOP), []

    def wait():  # for the network, in a thread of its own: so it is never late
        hops.append(None)
        while len(hops) - 1 not in backlog()._done:
            time.sleep(1e-4)

    devices = Devices(mixture, backlog=SimpleNamespace(work=wait))

    def backlog():
        return devices.settings["callback"]._guard._backlog

    monkeypatch.setattr(soundcard, "portaudio", lambda: devices)
    _, errors, code = run(monkeypatch, b"", "--gain", "rest=0", "--in", "0", "--stats", separator=separator)
    assert code == 2  # the devices have stopped
    fade = 128
    lag = 2 * HOP - HOP + HOP + fade  # the synthesis window less the hop that blocks are, a block's time, and the fade
    assert torch.equal(torch.cat(devices.played, dim=-1), late(mixture, lag))
    whole = HOP - 1 + lag  # a block's first sample waits for its last
    assert whole == (2 * HOP - 1) + (HOP + fade)
    algorithmic_ms, block_ms = (1000 * samples / RATE_HZ for samples in (2 * HOP - 1, HOP + fade))
    assert f"latency   {algorithmic_ms:.1f} ms algorithmic + {block_ms:.1f} ms of blocks, " in errors
    assert f"measured {1000 * whole / RATE_HZ + 8:.1f} ms" in errors  # and the devices' own 8 ms


@pytest.mark.parametrize(("block", "block_ms"), [(HOP, "0.0"), (4 * HOP, "17.4")])
def test_in_a_pipe_a_hop_at_once_adds_nothing_to_the_latency(monkeypatch, model, block, block_ms):
    separator = Separator.from_pretrained(model, "cpu", "fp32")
    arguments = ("-t", "vocals", "--stats", "--block", block)
    _, errors, code = run(monkeypatch, pcm(noise(5_000)), *arguments, separator=separator)
    assert code == 0
    assert f"latency   11.6 ms algorithmic + {block_ms} ms of blocks, " in errors


def test_a_device_that_falls_silent_without_a_word_is_taken_for_gone(monkeypatch):
    guard, backlog, stats = guard_of(mix_of())
    devices, told = Devices(noise(5 * HOP), backlog=backlog), []
    monkeypatch.setattr(soundcard, "portaudio", lambda: devices)
    monkeypatch.setattr(soundcard, "TOLD_SECONDS", 0.01)
    monkeypatch.setattr(soundcard, "QUIET_SECONDS", 0.03)
    with pytest.raises(UserError, match=r"the sound devices \(in mute, out default\) have stopped"):
        Card("mute").play(guard, stats, lambda: told.append(stats.blocks))
    assert told == [5, 5, 5, 5]


def test_what_the_network_raises_ends_the_card_with_it(monkeypatch):
    guard, backlog, stats = guard_of(mix_of())
    backlog.put = lambda *_: (_ for _ in ()).throw(RuntimeError("a fault of ours"))
    devices = Devices(noise(5 * HOP), backlog=backlog)
    monkeypatch.setattr(soundcard, "portaudio", lambda: devices)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        Card().play(guard, stats)
    assert devices.closed


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        (ValueError("No input device matching 'kazoo'"), "No input device matching 'kazoo'"),
        (Devices.PortAudioError("Invalid sample rate"), "Invalid sample rate"),
    ],
)
def test_devices_that_cannot_be_opened(monkeypatch, refusal, told):
    guard, _, stats = guard_of(mix_of())
    monkeypatch.setattr(soundcard, "portaudio", lambda: Devices(refuses=refusal))
    line = rf"the sound devices \(in kazoo, out default\): {told} \(see --list-devices\)"
    with pytest.raises(UserError, match=line):
        Card("kazoo").play(guard, stats)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "a sound card needs sounddevice: pip install 'music-demixer[live]'"),
        ("raise OSError('PortAudio library not found')", "needs PortAudio: apt install libportaudio2"),
        ("class PortAudioError(Exception): pass\nraise PortAudioError('no host')", "PortAudio does not start: no host"),
    ],
    ids=["no package", "no library", "no host"],
)
def test_without_portaudio_a_line_says_what_to_install(tmp_path, monkeypatch, content, told):
    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    if content is None:
        monkeypatch.setitem(sys.modules, "sounddevice", None)
    else:
        (tmp_path / "sounddevice.py").write_text(content)
        monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError) as ended:
        soundcard.devices()
    assert told in str(ended.value)


# The command

shown = []  # what the runs of a test wrote to stderr, and their exit codes


@pytest.fixture(autouse=True)
def row(record_property):
    """What the table of bad inputs shows of a test."""
    shown.clear()
    yield
    record_property("told", list(shown))


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


def test_without_a_model_a_line_says_where_one_comes_from():
    with pytest.raises(UserError, match=r"no live model comes along yet: train one .*, and give it as -c RUN_DIR"):
        live.main(["-t", "vocals"])


def test_impossible_threads_are_refused(monkeypatch):
    from demixer.live.playing import prepare_process

    with pytest.raises(UserError, match=r"`--threads` \(=0\) must be at least 1"):
        prepare_process(0)


@pytest.mark.parametrize(
    ("typed", "devices"), [((None, None), None), (("3", "USB 2"), Card(3, "USB 2")), ((None, "0"), Card(None, 0))]
)
def test_devices_are_named_by_number_or_name(typed, devices):
    assert Card.named(*typed) == devices


def test_ctrl_c_is_how_a_sound_card_ends_and_other_signals_are_told(monkeypatch):
    for arguments, code in (((), 0), ((signal.SIGTERM,), 143)):

        def play(*_, arguments=arguments):
            raise KeyboardInterrupt(*arguments)

        monkeypatch.setattr(Card, "play", play)
        assert run(monkeypatch, b"", "-t", "vocals", "--in", "0")[2] == code


# With a real network


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_live_model(tmp_path_factory.mktemp("live") / "model")


def test_a_pipe_gives_what_demix_gives(monkeypatch, model):
    separator, mixture = Separator.from_pretrained(model, "cpu", "fp32"), music(30_007)
    out, errors, code = run(monkeypatch, pcm(mixture), "-t", "vocals", separator=separator)
    assert (code, errors) == (0, "")
    vocals = separator(mixture)["vocals"]
    assert (samples(out) - vocals).abs().max() < 1e-5 < 1e-2 < vocals.abs().max()


def test_a_real_network_that_is_held_up_goes_on_as_if_nothing_had_been(model):
    separator, mixture = Separator.from_pretrained(model, "cpu", "fp32"), music(60 * HOP)
    outs = []
    for on_time in (never_late, held_up(20, 30)):
        mix = mix_of(separator=separator, targets=["vocals"])
        guard, backlog, stats = guard_of(mix)
        outs.append(driven(guard, backlog, mixture, on_time))
    assert stats.late_blocks == 11
    assert torch.equal(outs[0][:, 32 * HOP :], outs[1][:, 32 * HOP :])
    assert not torch.equal(outs[0], outs[1])


def test_the_tensors_that_are_held_do_not_grow(model):
    mix = mix_of(separator=Separator.from_pretrained(model, "cpu", "fp32"), mute=["vocals"])
    guard, backlog, _ = guard_of(mix)
    mixture, held = noise(HOP), []
    for number in range(401):
        guard.tick(mixture)
        backlog.work()
        if number in (50, 400):
            gc.collect()
            sizes = [each.untyped_storage().nbytes() for each in gc.get_objects() if type(each) is torch.Tensor]
            held.append((len(sizes), sum(sizes)))
    assert held[0] == held[1]


def child(model, *arguments, **streams):
    command = [sys.executable, str(PROJECT_DIR / "src" / "live.py"), "-c", model, *arguments]
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen([*map(str, command)], **streams)


def test_only_samples_come_out_of_a_child_process(model):
    mixture = music(30_000)
    out, errors = child(model, "--mute", "vocals", "--stats", "--realtime").communicate(pcm(mixture), timeout=100)
    assert samples(out).shape == (2, 30_000)
    lines = errors.decode().splitlines()
    assert [line.split()[0] for line in lines if not line.startswith("skipped")] == ["latency", "a", "late", "samples"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (None, 141)])
def test_an_interruption_and_a_dead_sink_end_it_without_a_traceback(model, number, code):
    process = child(model, "-t", "vocals", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
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


NULL_DEVICE = "pcm.!default { type null }\nctl.!default { type null }\n"


def test_a_stream_of_portaudio_itself(model, tmp_path):
    """Through ALSA's null device, which keeps no time: blocks come as fast as they are taken."""
    (tmp_path / ".asoundrc").write_text(NULL_DEVICE)
    environment = {**os.environ, "HOME": str(tmp_path)}
    listing = [sys.executable, "-c", "import sounddevice; print(sounddevice.query_devices())"]
    listed = subprocess.run(listing, env=environment, capture_output=True, text=True)
    if "default, ALSA" not in listed.stdout:
        pytest.skip(f"needs sounddevice, PortAudio and ALSA: {listed.stderr or listed.stdout}")
    process = child(model, "--mute", "vocals", "--in", "default", "--out", "default", "--stats", env=environment)
    with process:
        assert process.stderr.readline() == b"note: playing (in default, out default): Ctrl-C ends it\n"
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        told = process.stderr.read().decode()
    assert process.returncode == 0, told
    assert "xruns" in told
    (line,) = (line for line in told.splitlines() if line.startswith("samples"))
    _, samples_in, _, samples_out, *_ = line.split()
    assert int(samples_in) == int(samples_out) > 100 * HOP
