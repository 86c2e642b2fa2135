"""Cutting and cross-fading: an identity gives the signal back, whatever the cut, in bounded memory."""

import itertools

import pytest
import torch

from demixer.separation.overlap_add import FADES, overlap_add
from demixer.separation.streams import drop_first, in_step
from tests.song_files import noise


def identity(windows):
    return windows.unsqueeze(1)


def separated(signal, window, hop, batch_size=3, fade="triangle", block=None, apply=identity):
    blocks = signal.split(block or signal.shape[-1], dim=-1)
    return torch.cat(list(overlap_add(blocks, apply, window, hop, batch_size, fade)), dim=-1)


@pytest.mark.parametrize("fade", FADES)
@pytest.mark.parametrize(("window", "hop"), [(100, 100), (100, 50), (100, 17), (101, 37), (100, 99), (64, 1), (1, 1)])
def test_identity_gives_the_signal_back(window, hop, fade):
    lengths = {1, 2, hop - 1, hop, hop + 1, window - 1, window, window + 1, round(3.7 * window), 2 * window + hop}
    for length in sorted(lengths - {0}):
        signal = noise(length)
        result = separated(signal, window, hop, fade=fade)
        assert result.shape == (1, 2, length)
        assert (result[0] - signal).abs().max() < 1e-6, (length, window, hop)


@pytest.mark.parametrize("block", [1, 7, 100, 101, 1000])
def test_nothing_depends_on_the_blocks_nor_on_the_batch(block):
    signal = noise(457)

    def rough(windows):  # depends on where the windows lie
        return torch.stack([windows.cumsum(-1).sin(), windows.flip(-1)], dim=1)

    expected = separated(signal, 100, 30, batch_size=1, apply=rough)
    assert torch.equal(separated(signal, 100, 30, batch_size=5, block=block, apply=rough), expected)


def test_every_sample_is_the_weighted_mean_of_the_windows_over_it():
    window, hop, length = 8, 4, 19
    starts = [0, 4, 8, 11]  # the last window ends with the signal
    fade = FADES["triangle"](window)
    total, weight = torch.zeros(length), torch.zeros(length)
    for value, start in enumerate(starts, 1):
        total[start : start + window] += fade * value
        weight[start : start + window] += fade
    values = itertools.count(1)

    def numbered(windows):
        return torch.stack([torch.full_like(w, next(values)) for w in windows]).unsqueeze(1)

    result = separated(torch.zeros(1, length), window, hop, apply=numbered)
    torch.testing.assert_close(result[0, 0], total / weight)


def test_a_fade_joins_windows_that_disagree_without_a_step():
    """Two windows of 0 and 1: a triangle climbs from one to the other in small steps."""
    values = iter([0.0, 1.0])

    def stairs(windows):
        return torch.stack([torch.full_like(w, next(values)) for w in windows]).unsqueeze(1)

    result = separated(torch.zeros(1, 150), 100, 50, apply=stairs)
    assert result[0, 0].diff().abs().max() < 0.03


def test_memory_is_bounded_on_a_stream_without_an_end():
    given = 0

    def endless():
        nonlocal given
        while True:
            given += 64
            yield torch.ones(2, 64)

    received = 0
    for block in overlap_add(endless(), identity, 100, 25, batch_size=4):
        received += block.shape[-1]
        assert given - received <= 100 + 5 * 25 + 64
        if received > 10_000:
            break


def test_an_empty_stream_gives_nothing():
    assert list(overlap_add([], identity, 10, 5)) == []
    assert list(overlap_add([torch.zeros(2, 0)], identity, 10, 5)) == []


@pytest.mark.parametrize("hop", [0, 11])
def test_a_hop_that_leaves_gaps_is_refused(hop):
    with pytest.raises(ValueError, match=rf"`hop_samples` \(={hop}\) must lie in 1 … `window_samples` \(=10\)"):
        next(overlap_add([torch.zeros(1, 5)], identity, 10, hop))


def test_an_unknown_fade_is_refused():
    with pytest.raises(ValueError, match=r"`fade` \(='cosine'\) must be one of"):
        next(overlap_add([torch.zeros(1, 5)], identity, 10, 5, fade="cosine"))


def test_in_step_cuts_streams_at_common_places():
    pairs = list(in_step(torch.arange(10).split(3), torch.arange(10).split(4)))
    assert [len(left) for left, _ in pairs] == [3, 1, 2, 2, 1, 1]
    assert all(torch.equal(left, right) for left, right in pairs)


def test_in_step_ends_with_the_shortest():
    pairs = list(in_step(torch.arange(10).split(3), torch.arange(5).split(2)))
    assert torch.cat([left for left, _ in pairs]).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("samples", [0, 1, 3, 4, 10, 12])
def test_drop_first(samples):
    assert torch.cat(list(drop_first(torch.arange(10).split(3), samples))).tolist() == list(range(samples, 10))
