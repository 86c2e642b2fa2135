"""The live program: what is heard, from pipe to pipe and through a sound card, and what happens when it comes late.

No test waits for a clock: the network's lateness is the test's own doing.
"""

import io
import time

import pytest
import torch
from live_stand_in import HOP, LATENCY, RATE_HZ, guard_of, mix_of, stats_of

from demixer.errors import UserError
from demixer.live.choice import Choice, gains_of
from demixer.live.desk import Desk
from demixer.live.mixing import Mixer, Ramp
from demixer.live.pcm import PcmReader, PcmWriter
from demixer.live.pipes import play_all, play_in_time
from tests.song_files import music, noise

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


def piped(content, format="f32le", play=play_all, **choice):
    """The bytes that come out for bytes that go in, and the figures."""
    mix, out = mix_of(**choice), io.BytesIO()
    stats = stats_of(mix)
    writer = PcmWriter(out, format)
    play(mix, PcmReader(io.BytesIO(content), format, 2).blocks(HOP), writer.write, stats)
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
        play_all(mix, blocks, PcmWriter(out, "f32le").write, stats_of(mix))
    assert len(out.getvalue()) // 8 == 4_000 // HOP * HOP - LATENCY


# Late blocks


def in_time(mixture, on_time, block=HOP, slack=1, **choice):
    """What a guard gives whose network works up to block ``on_time(k)``, and no further, before block k leaves."""
    mix = mix_of(**choice)
    guard, backlog, stats = guard_of(mix, block, slack)
    out, done = [], 0
    for number, part in enumerate(mixture.split(block, dim=-1)):
        backlog_until = on_time(number)
        while done <= backlog_until and backlog.work():
            done += 1
        out.append(guard.tick(part))
    return torch.cat(out, dim=-1), guard, stats


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


def test_a_network_that_is_far_behind_begins_anew_and_is_heard_once_it_is_warm():
    """After a computer's sleep: what waits is skipped; of the new beginning the silence of its latency is kept back."""
    blocks = 3 * RATE_HZ // HOP
    mixture = noise(blocks * HOP)
    awake = int(1.5 * RATE_HZ / HOP)
    out, guard, stats = in_time(mixture, held_up(20, awake), targets=["vocals"])
    wet, dry = (late(share * mixture, guard.latency_samples) for share in (-0.5, 1.0))
    assert stats.skipped_blocks > 100
    assert guard.mix.live.resets == 1
    begun = 20 + stats.skipped_blocks
    ends = [place for place in range(20 * HOP + HOP, blocks * HOP) if torch.equal(out[:, place], wet[:, place])]
    assert torch.equal(out[:, 20 * HOP + HOP : ends[0] - HOP], dry[:, 20 * HOP + HOP : ends[0] - HOP])
    assert torch.equal(out[:, ends[0] + HOP :], wet[:, ends[0] + HOP :])
    assert ends[0] > begun * HOP + LATENCY


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
        with pytest.raises(ValueError, match="no block of this stream"):
            for _ in range(100_000):
                guard.tick(torch.full((2, HOP), float("nan")))
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
