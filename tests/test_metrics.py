"""The metrics against what can be computed by hand, and against museval itself."""

import math
import subprocess
import sys

import pytest
import torch

from demixer.datasets.stem_files import read_stem_file
from demixer.errors import UserError
from demixer.evaluation import museval_reference
from demixer.evaluation.metrics import csdr, finite_mean, finite_median, usdr, window_starts
from demixer.evaluation.museval_reference import NUMBERS, bss_eval, museval_scores
from demixer.paths import SRC_DIR
from demixer.sources import SOURCES

RATE_HZ = 2000


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_equals_museval(references, estimates, window, hop):
    theirs = bss_eval(references, estimates, window, hop)["sdr"]
    ours = csdr(references, estimates, window, hop)
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=0, equal_nan=True)


@pytest.mark.parametrize(("scale", "expected_db"), [(0.9, 20.0), (0.5, 6.0206), (2.0, 0.0), (-1.0, -6.0206)])
def test_usdr_of_a_scaled_copy_is_the_scale_s_distance_from_one(scale, expected_db):
    song = noise(2, 5000)
    assert usdr(song, scale * song) == pytest.approx(expected_db, abs=1e-4)


def test_usdr_of_a_silent_estimate_is_0_db_and_of_perfection_finite():
    song = noise(2, 5000)
    energy = song.double().square().sum().item()
    assert usdr(song, torch.zeros_like(song)) == 0
    assert usdr(song, song) == pytest.approx(10 * math.log10((energy + 1e-7) / 1e-7), abs=1e-9)


def test_a_silent_reference_has_no_score_whatever_the_estimate_is():
    silence = torch.zeros(2, 10)
    assert math.isnan(usdr(silence, silence))
    assert math.isnan(usdr(silence, torch.ones(2, 10)))
    assert finite_mean([usdr(silence, silence), usdr(torch.ones(2, 100), 0.9 * torch.ones(2, 100))]) > 19.9
    faintest = torch.full((1, 1), 1e-45)
    assert usdr(faintest, faintest) == 0  # one sample that is not zero makes a reference


def test_usdr_regularises_with_1e_7():
    reference, estimate = torch.full((1, 1), 1e-6), torch.full((1, 1), 1e-3 + 1e-6)
    assert usdr(reference, estimate) == pytest.approx(10 * math.log10(1e-7 / (1e-6 + 1e-7)), abs=1e-4)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_and_not_left_out(value):
    good, bad = torch.ones(1, 2), torch.tensor([[1.0, value]])
    with pytest.raises(ValueError, match="`estimate` is not finite"):
        usdr(good, bad)
    with pytest.raises(ValueError, match="`reference` is not finite"):
        usdr(bad, good)
    with pytest.raises(ValueError, match="`estimate` is not finite"):
        usdr(torch.zeros(1, 2), bad)


def test_a_mean_does_not_depend_on_the_order():
    assert finite_mean([1e16, 1.0, -1e16]) == finite_mean([1e16, -1e16, math.nan, 1.0]) == 1 / 3


def test_usdr_pools_both_channels_and_the_whole_song():
    reference = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    estimate = torch.tensor([[3.0, 0.0], [0.0, 3.0]])
    assert usdr(reference, estimate) == pytest.approx(10 * math.log10(25), abs=1e-5)


def test_usdr_does_not_lose_a_long_song_s_quiet_part():
    song = torch.full((2, 3_000_000), 1e-2)
    song[:, :1000] = 1.0
    energy = 2 * (1000 + 2_999_000 * 1e-4)
    assert usdr(song, torch.zeros_like(song)) == 0
    assert usdr(song, song - 1e-3) == pytest.approx(10 * math.log10(energy / (2 * 3_000_000 * 1e-6)), abs=1e-4)


def test_metrics_refuse_shapes_that_differ():
    with pytest.raises(ValueError, match=r"\(2, 10\).*\(2, 11\)"):
        usdr(torch.zeros(2, 10), torch.zeros(2, 11))
    with pytest.raises(ValueError, match="differ in shape"):
        csdr(torch.zeros(1, 2, 10), torch.zeros(2, 2, 10), 5, 5)
    with pytest.raises(ValueError, match=r"`hop_samples` \(=0\)"):
        csdr(torch.zeros(1, 2, 10), torch.zeros(1, 2, 10), 5, 0)


@pytest.mark.parametrize(
    ("length", "window", "hop", "count"),
    [(0, 10, 10, 0), (1, 10, 10, 1), (9, 10, 10, 1), (10, 10, 10, 1), (19, 10, 10, 1), (20, 10, 10, 2), (37, 10, 5, 6)],
)
def test_csdr_has_as_many_windows_as_museval(length, window, hop, count):
    assert len(window_starts(length, window, hop)) == count
    assert csdr(noise(3, 2, length), noise(3, 2, length, seed=1), window, hop).shape == (3, count)


def test_csdr_of_each_window_is_its_own_snr():
    references = noise(2, 2, 40)
    errors = torch.tensor([0.1, 0.01, 2.0, 0.5]).repeat_interleave(10)
    expected = torch.tensor([20.0, 40.0, -6.0206, 6.0206], dtype=torch.float64).expand(2, -1)
    torch.testing.assert_close(csdr(references, references * (1 - errors), 10, 10), expected, atol=1e-3, rtol=0)


def test_csdr_of_an_exact_window_is_infinite():
    references = noise(1, 2, 10)
    assert csdr(references, references.clone(), 10, 10).item() == math.inf


def test_one_silent_source_makes_the_window_nan_for_every_target():
    references, estimates = noise(3, 2, 50), noise(3, 2, 50, seed=1)
    references[1, :, 10:20] = 0
    estimates[2, :, 30:40] = 0
    references[0, 0, 40:50] = 0  # one channel alone still sounds
    nan = csdr(references, estimates, 10, 10).isnan()
    assert nan.tolist() == [[False, True, False, True, False]] * 3


def test_a_window_whose_channels_cancel_counts_as_silent_as_in_museval():
    references, estimates = noise(1, 2, 20), noise(1, 2, 20, seed=1)
    references[0, 1, :10] = -references[0, 0, :10]
    assert csdr(references, estimates, 10, 10).isnan().tolist() == [[True, False]]


def test_csdr_equals_museval_with_silent_cancelling_and_partial_windows():
    references = noise(2, 2, round(6.4 * RATE_HZ))
    estimates = references + 0.3 * noise(*references.shape, seed=1) * torch.linspace(0, 2, references.shape[-1])
    references[0, :, RATE_HZ : 2 * RATE_HZ] = 0
    estimates[1, :, 3 * RATE_HZ : 4 * RATE_HZ] = 0
    references[1, 1, 4 * RATE_HZ : 5 * RATE_HZ] = -references[1, 0, 4 * RATE_HZ : 5 * RATE_HZ]
    assert csdr(references, estimates, RATE_HZ, RATE_HZ).isnan()[0].tolist() == [False, True, False, True, True, False]
    assert_equals_museval(references, estimates, RATE_HZ, RATE_HZ)
    assert_equals_museval(references, estimates, round(1.5 * RATE_HZ), RATE_HZ // 2)
    assert_equals_museval(references[..., :1500], estimates[..., :1500], RATE_HZ, RATE_HZ)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("song", "targets"), [("Actions - One Minute Smile", SOURCES), ("Triviul - Angelsaint", ("vocals", "bass"))]
)
def test_csdr_equals_museval_on_real_songs(shared_dir, song, targets):
    stems, rate_hz = read_stem_file(shared_dir / "data" / "musdb18-7s" / "train" / f"{song}.stem.mp4")
    references = torch.stack([stems[target] for target in targets])
    estimates = 0.8 * references + 0.1 * stems["mixture"]
    references[1, :, 2 * rate_hz : 3 * rate_hz] = 0
    assert_equals_museval(references, estimates, rate_hz, rate_hz)


def test_museval_tells_interference_from_artefacts():
    """Of white noises, what leaks from the other source is interference, and what is new an artefact (to a filter)."""
    references = noise(2, 2, 4 * RATE_HZ)
    leaking = references + 0.1 * references.flip(0)
    assert bss_eval(leaking, leaking, RATE_HZ, RATE_HZ)["sdr"].isinf().all()
    leaked = bss_eval(references, leaking, RATE_HZ, RATE_HZ)
    assert {name: values.shape for name, values in leaked.items()} == dict.fromkeys(NUMBERS, (2, 4))
    assert all(values.dtype == torch.float64 for values in leaked.values())
    torch.testing.assert_close(leaked["sir"], torch.full((2, 4), 20.0, dtype=torch.float64), atol=1, rtol=0)
    assert leaked["sar"].min() > 60
    noisy = bss_eval(references, references + 0.1 * noise(2, 2, 4 * RATE_HZ, seed=1), RATE_HZ, RATE_HZ)
    assert noisy["sar"].max() < 23 < noisy["sir"].min()
    assert leaked["sdr"][0].median() == pytest.approx(20, abs=0.5)


def test_museval_scores_are_medians_over_seconds_of_each_target():
    references = noise(2, 2, 3 * 8_000)
    estimates = references + 0.1 * noise(2, 2, 3 * 8_000, seed=1) * torch.linspace(0.1, 2, 3 * 8_000)
    windows = bss_eval(references, estimates, 8_000, 8_000)
    scores = museval_scores(references.sum(0), references, estimates, 8_000)
    assert scores == [{f"museval_{name}_db": windows[name][i].median() for name in NUMBERS} for i in range(2)]


def test_museval_of_a_song_with_a_source_that_is_silent_throughout_is_nan():
    references, estimates = noise(2, 2, 30), noise(2, 2, 30, seed=1)
    references[1] = 0
    assert all(
        values.isnan().all() and values.shape == (2, 3) for values in bss_eval(references, estimates, 10, 10).values()
    )
    assert bss_eval(references[..., :0], estimates[..., :0], 10, 10)["sdr"].shape == (2, 0)
    with pytest.raises(ValueError, match=r"\(2, 29, 2\)"):
        bss_eval(noise(2, 2, 30), noise(2, 2, 29), 10, 10)


def test_museval_runs_where_no_ffmpeg_program_is(monkeypatch, tmp_path):
    """As a program of its own: here its file may have been loaded before."""
    code = f"""import sys; sys.path.insert(0, {str(SRC_DIR)!r})
from demixer.evaluation.museval_reference import museval_version
print(museval_version(), sorted({{"musdb", "museval", "stempeg"}} & {{*sys.modules}}))"""
    monkeypatch.setenv("PATH", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0.4.1 []\n"


def test_without_museval_the_remedy_is_named(monkeypatch):
    museval_reference._museval_metrics.cache_clear()
    monkeypatch.setattr(museval_reference, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="package museval, which is not installed: pip install museval"):
        museval_reference.museval_version()


def test_the_median_is_of_what_could_be_measured():
    assert finite_median([1.0, math.nan, 4.0, 2.0]) == 2.0
    assert finite_median([1.0, 2.0, math.nan]) == 1.5
    assert finite_median([1.0, math.inf, math.inf]) == math.inf
    assert finite_mean([1.0, math.nan, 4.0]) == 2.5
    assert math.isnan(finite_median([math.nan, math.nan]))
    assert math.isnan(finite_mean([]))
