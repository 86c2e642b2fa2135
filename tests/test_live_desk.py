"""The desk of the live program: what is heard of the stems, and what changes it."""

import pytest
import torch

from demixer.errors import UserError
from demixer.live.choice import Choice, gains_of
from demixer.live.desk import Desk
from demixer.live.mixing import Mixer, Ramp
from tests.live_stand_in import HOP, LATENCY, RATE_HZ, mix_of
from tests.song_files import noise

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
