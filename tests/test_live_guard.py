"""What is heard when the network is late: the mixture, without a click, and then all as if nothing had been.

No test waits for a clock: the network's lateness is the test's own doing.
"""

import gc
import time
from math import ceil

import pytest
import torch

from demixer import Separator
from tests.live_runs import driven, held_up, in_time, late, never_late
from tests.live_stand_in import HOP, LATENCY, RATE_HZ, guard_of, mix_of
from tests.song_files import music, noise


@pytest.mark.parametrize(("block", "slack"), [(HOP, 1), (HOP, 3), (4 * HOP, 1)])
def test_a_network_in_time_is_all_that_is_heard(block, slack):
    mixture = noise(20 * block)
    out, guard, stats = in_time(mixture, never_late, block, slack, targets=["vocals"])
    assert guard.latency_samples == LATENCY + slack * block + min(132, block // 2)
    assert torch.equal(out, late(-0.5 * mixture, guard.latency_samples))
    assert stats.late_blocks == 0


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


# With a real network


def test_a_real_network_that_is_held_up_goes_on_as_if_nothing_had_been(live_model):
    separator, mixture = Separator.from_pretrained(live_model, "cpu", "fp32"), music(60 * HOP)
    outs = []
    for on_time in (never_late, held_up(20, 30)):
        mix = mix_of(separator=separator, targets=["vocals"])
        guard, backlog, stats = guard_of(mix)
        outs.append(driven(guard, backlog, mixture, on_time))
    assert stats.late_blocks == 11
    assert torch.equal(outs[0][:, 32 * HOP :], outs[1][:, 32 * HOP :])
    assert not torch.equal(outs[0], outs[1])


def test_the_tensors_that_are_held_do_not_grow(live_model):
    mix = mix_of(separator=Separator.from_pretrained(live_model, "cpu", "fp32"), mute=["vocals"])
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
