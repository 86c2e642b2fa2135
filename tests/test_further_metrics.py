"""Metrics beside uSDR and cSDR, against the implementations that they are named after."""

import math

import pytest
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

from demixer.errors import UserError
from demixer.evaluation import museval_reference
from demixer.evaluation.bsseval import REACH, bss_eval, correlations
from demixer.evaluation.further import further_metrics
from demixer.evaluation.metrics import predicted_energy_at_silence, si_sdr

RATE_HZ = 4000


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def mixed(references, leak=0.2, noisy=0.05):
    """Estimates with some of the other sources, and some noise, in each."""
    return references + leak * references.flip(0) + noisy * noise(*references.shape, seed=9)


def test_si_sdr_is_torchmetrics_of_both_channels_together():
    reference, estimate = noise(2, 5000), 3 * noise(2, 5000) + noise(2, 5000, seed=1)
    theirs = scale_invariant_signal_distortion_ratio(estimate.double().flatten(), reference.double().flatten())
    assert si_sdr(reference, estimate) == pytest.approx(theirs.item(), abs=1e-6)


def test_si_sdr_does_not_hear_the_level():
    reference, estimate = noise(2, 5000), mixed(noise(2, 5000))
    assert si_sdr(reference, 7 * estimate) == pytest.approx(si_sdr(reference, estimate), abs=1e-5)
    assert math.isnan(si_sdr(torch.zeros(2, 10), estimate[:, :10]))


def test_ghosts_are_heard_where_the_truth_is_silent_and_the_mixture_is_not():
    mixture, estimate = noise(2, 5000), torch.zeros(2, 5000)
    truth = mixture.clone()
    truth[:, 1000:3000] = 1e-4 * noise(2, 2000, seed=1)  # the hiss of a lossy file
    mixture[:, 2000:3000] = 0  # nothing to hear there at all
    estimate[:, 1000:2000] = 10 ** (-25 / 20) * mixture[:, 1000:2000]
    estimate[:, 4000:] = mixture[:, 4000:]  # where the source sounds, nothing counts
    assert predicted_energy_at_silence(mixture, truth, estimate, 250) == pytest.approx(-25, abs=1e-4)
    assert predicted_energy_at_silence(mixture, truth, 0 * estimate, 250) == pytest.approx(-100)
    assert math.isnan(predicted_energy_at_silence(mixture, mixture, estimate, 250))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sources", [1, 3])
def test_bsseval_equals_museval(sources, channels):
    references = noise(sources, channels, 5 * RATE_HZ)
    references[:, :, 2 * RATE_HZ : 3 * RATE_HZ] *= torch.tensor([0.0, 1.0, 1.0])[:sources, None, None]  # one is silent
    estimates = mixed(references)
    estimates[0, 0] = estimates[0, 0].roll(3)  # a filtering, which the ISR tells
    theirs = museval_reference.bss_eval(references, estimates, RATE_HZ, RATE_HZ)
    for name, ours in bss_eval(references, estimates, RATE_HZ, RATE_HZ).items():
        finite = theirs[name].isfinite() & (theirs[name] < 100)  # beyond, both are rounding
        assert finite.any() or (name == "sir" and sources == 1)
        torch.testing.assert_close(ours[finite], theirs[name][finite], atol=1e-3, rtol=0)
        assert torch.equal(ours.isnan(), theirs[name].isnan())


def test_bsseval_of_a_source_in_the_middle():
    """Equal channels make the equations singular; the numbers are museval's all the same."""
    references = noise(2, 1, 4 * RATE_HZ).expand(-1, 2, -1).clone()
    references[1] += 0.3 * noise(2, 4 * RATE_HZ, seed=5)
    estimates = mixed(references)
    theirs = museval_reference.bss_eval(references, estimates, RATE_HZ, RATE_HZ)
    for name, ours in bss_eval(references, estimates, RATE_HZ, RATE_HZ).items():
        torch.testing.assert_close(ours, theirs[name], atol=1e-2, rtol=0)


def test_bsseval_of_silence_or_nothing_is_no_number():
    song = noise(2, 2, 3 * RATE_HZ)
    silent = torch.stack([song[0], torch.zeros_like(song[1])])
    assert all(values.isnan().all() for values in bss_eval(silent, song, RATE_HZ, RATE_HZ).values())
    assert all(values.shape == (2, 0) for values in bss_eval(song[..., :0], song[..., :0], 10, 10).values())


def test_correlations_over_many_blocks_are_those_of_the_whole():
    a, b = noise(2, 40_000).double(), noise(3, 40_000, seed=1).double()
    lags = correlations(a, b)
    assert lags.shape == (2, 3, 2 * REACH + 1)
    for lag in (-REACH, -1, 0, 7, REACH):
        shifted = b.roll(-lag, dims=1)
        shifted[:, max(0, 40_000 - lag) :] = 0
        if lag < 0:
            shifted[:, :-lag] = 0
        torch.testing.assert_close(lags[:, :, lag + REACH], a @ shifted.T, atol=1e-8, rtol=0)


def test_log_wmse_is_its_authors_own():
    theirs = pytest.importorskip("torch_log_wmse")
    mixture, references = noise(2, 44_100), noise(2, 2, 44_100)
    estimates = mixed(references)
    (metric,) = further_metrics(["log-wmse"])
    rows = metric(mixture, references, estimates, 44_100)
    expected = theirs.LogWMSE(sample_rate=44_100)(mixture[None], estimates[:1, :, None], references[:1, :, None])
    assert rows[0]["log_wmse"] == pytest.approx(float(expected))
    worse = metric(mixture, references, references + 10 * (estimates - references), 44_100)
    assert worse[0]["log_wmse"] < rows[0]["log_wmse"]


def test_unknown_metrics_are_named():
    with pytest.raises(UserError, match="`--metrics` pesq, stoi: known are si-sdr, bsseval, log-wmse, silence"):
        further_metrics(["si-sdr", "pesq", "stoi"])
