"""Sample rates: what is heard stays as it is, what the lower rate cannot hold vanishes, and no sample moves."""

import math

import pytest
import torch

from demixer.audio import resample, resample_blocks
from tests.song_files import noise

RATES_HZ = [
    (48000, 44100),
    (44100, 48000),
    (8000, 44100),
    (192000, 44100),
    (192000, 8000),
    (11025, 44100),
    (44100, 16000),
    (44101, 44100),
]
EDGE = 1_000  # samples at either end, where a tone that begins at once rings


def tone(hz, rate_hz, seconds=1.0):
    """(1, L) in float64."""
    samples = torch.arange(round(seconds * rate_hz), dtype=torch.float64)
    return torch.sin(2 * math.pi * hz * samples / rate_hz)[None]


def level_db(waveform):
    """Against a sine of amplitude 1."""
    return 10 * math.log10(2 * waveform[..., EDGE:-EDGE].square().mean() + 1e-30)


def streamed(signal, block, from_hz, to_hz):
    return torch.cat(list(resample_blocks(signal.split(block, dim=-1), from_hz, to_hz)), dim=-1)


@pytest.mark.parametrize("hz", [20, 1_000, 10_000, 15_000, 18_000, 19_000, 20_000])
@pytest.mark.parametrize(("from_hz", "to_hz"), [(48000, 44100), (44100, 48000), (96000, 44100), (44101, 44100)])
def test_what_is_heard_keeps_its_level(from_hz, to_hz, hz):
    assert abs(level_db(resample(tone(hz, from_hz).float(), from_hz, to_hz))) < 0.1


@pytest.mark.parametrize("share", [1.005, 1.02, 1.05, 1.08])
@pytest.mark.parametrize(("from_hz", "to_hz"), [(48000, 44100), (96000, 44100), (192000, 48000), (44100, 16000)])
def test_what_the_new_rate_cannot_hold_vanishes(from_hz, to_hz, share):
    """A tone above the new band's end would come back as one below it."""
    assert level_db(resample(tone(share * to_hz / 2, from_hz).float(), from_hz, to_hz)) < -100


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES_HZ)
def test_a_tone_stays_in_its_place(from_hz, to_hz):
    """To the sample: a delay of a thousandth of one would be 60 dB below it."""
    hz = min(from_hz, to_hz) / 8
    result = resample(tone(hz, from_hz).float(), from_hz, to_hz)
    error = (result - tone(hz, to_hz)[:, : result.shape[-1]])[:, EDGE:-EDGE]
    assert error.abs().max() < 2e-5


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES_HZ)
@pytest.mark.parametrize("length", [1, 2, 17, 9_001])
def test_blocks_make_the_whole_to_the_last_bit(from_hz, to_hz, length):
    signal = noise(length)
    whole = resample(signal, from_hz, to_hz)
    assert whole.shape == (2, math.ceil(length * to_hz / from_hz))
    for block in (1, 700, length):
        if length // block <= 1_000:
            assert torch.equal(streamed(signal, block, from_hz, to_hz), whole)


def test_a_single_sample_is_a_pulse_of_the_same_area():
    pulse = torch.zeros(1, 2_000)
    pulse[0, 1_000] = 1.0
    result = resample(pulse, 44_100, 88_200)
    assert result[0].argmax() == 2_000
    assert result.sum() == pytest.approx(2.0, abs=1e-4)


def test_a_long_block_is_what_short_ones_are():
    """Above what is handed over at once."""
    signal = noise(200_000, 1)
    assert torch.equal(streamed(signal, 200_000, 48_000, 44_100), streamed(signal, 9_999, 48_000, 44_100))


def test_stems_are_resampled_together():
    stems = noise(5_000).unflatten(0, (2, 1))
    together = streamed(stems, 999, 48_000, 44_100)
    assert together.shape == (2, 1, 4_594)
    assert torch.equal(together[1], resample(stems[1], 48_000, 44_100))
    assert torch.equal(together[1, 0], resample(stems[1, 0], 48_000, 44_100))


@pytest.mark.parametrize(("from_hz", "to_hz"), RATES_HZ)
def test_resampling_holds_little_of_an_endless_stream(from_hz, to_hz):
    """A quarter of a second of it, whatever its length: the filters' own blocks."""
    received = 0
    blocks = (torch.zeros(1, from_hz // 100) for _ in range(500))
    for number, block in enumerate(resample_blocks(blocks, from_hz, to_hz), 1):
        received += block.shape[-1]
        assert received / to_hz > number / 100 - 0.25 - 1024 / min(from_hz, to_hz)


def test_silence_stays_silence():
    assert not resample(torch.zeros(2, 10_000), 48_000, 44_100).any()


def test_equal_rates_leave_everything_alone():
    signal = noise(100)
    assert resample(signal, 44_100, 44_100) is signal
    assert list(resample_blocks([signal], 44_100, 44_100)) == [signal]


def test_of_nothing_comes_nothing():
    assert list(resample_blocks([], 48_000, 44_100)) == []
    assert resample(torch.zeros(2, 0), 48_000, 44_100).shape == (2, 0)
    assert streamed(torch.zeros(2, 0), 5, 48_000, 44_100).shape == (2, 0)
