"""Waveform to stems: length, level and content are kept at any window, hop, block, rate and number of channels."""

import logging

import pytest
import torch

from demixer import AudioParams, Separator
from demixer.errors import UserError
from tests.song_files import TARGETS, music, noise, share_separator, snr_db, write_tiny_model


def identity_separator(window, hop, rate_hz=1000, **params):
    settings = AudioParams(window_seconds=window / rate_hz, hop_seconds=hop / rate_hz, **params)
    return Separator(lambda mixture: mixture.unsqueeze(1), ["all"], rate_hz, settings)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return Separator.from_pretrained(write_tiny_model(tmp_path_factory.mktemp("model")), "cpu")


@pytest.mark.parametrize("shifts", [1, 3])
@pytest.mark.parametrize("fade", ["triangle", "hann", "rectangle"])
@pytest.mark.parametrize(("window", "hop"), [(300, 300), (300, 150), (300, 50), (299, 71), (5, 1)])
def test_identity_gives_the_mixture_back(window, hop, fade, shifts):
    separator = identity_separator(window, hop, fade=fade, shifts=shifts)
    for length in sorted({1, hop - 1, hop, hop + 1, window - 1, window, window + 1, round(3.7 * window)} - {0}):
        for channels in (1, 2):
            mixture = noise(length, channels)
            stem = separator(mixture)["all"]
            assert stem.shape == mixture.shape
            assert (stem - mixture).abs().max() < 1e-5, length


def test_stems_do_not_depend_on_the_blocks(tiny):
    song = music(60_000)
    whole = torch.cat(list(tiny.stream([song])), dim=-1)
    assert whole.shape == (4, 2, 60_000)
    for block in (1_000, 22_050, 44_101):
        streamed = torch.cat(list(tiny.stream(song.split(block, dim=-1))), dim=-1)
        assert (streamed - whole).abs().max() < 1e-5


def test_only_some_targets_in_the_order_of_the_model(tiny):
    song = music(30_000)
    whole, some = tiny(song), tiny.only(["other", "vocals"])
    assert some.targets == ("vocals", "other")
    assert tiny.targets == TARGETS
    for target, stem in some(song).items():
        assert torch.equal(stem, whole[target])
    memory = [{weights.data_ptr() for weights in separator.network.parameters()} for separator in (tiny, some)]
    assert memory[1] < memory[0]


@pytest.mark.parametrize("targets", [[], ["vocals", "kazoo"]])
def test_targets_that_are_not_there_are_refused(tiny, targets):
    with pytest.raises(UserError, match="must be some of vocals, drums, bass, other"):
        tiny.only(targets)


def test_stems_are_named_and_keep_the_order_of_the_model(tiny):
    song = music(30_000)
    stems = tiny(song)
    assert tuple(stems) == TARGETS
    assert torch.equal(torch.stack(list(stems.values())), torch.cat(list(tiny.stream([song])), dim=-1))


@pytest.mark.parametrize("length", [1, 255, 256, 257, 22_049, 22_051])
def test_a_real_network_takes_any_length(tiny, length):
    for stem in tiny(music(length)).values():
        assert stem.shape == (2, length)
        assert stem.isfinite().all()


def test_level_is_kept():
    separator = share_separator({"vocals": 0.75, "other": 0.25})
    for gain in (1e-3, 1.0, 3.0):
        song = gain * noise(50_000)
        torch.testing.assert_close(separator(song)["vocals"], 0.75 * song)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 48_000, 96_000, 44_101])
def test_other_sample_rates_come_back_as_they_went_in(rate_hz):
    song = music(rate_hz, rate_hz)
    song *= torch.hann_window(rate_hz)  # resampling rings where a signal begins at once
    stem = share_separator({"all": 1.0})(song, rate_hz)["all"]
    assert stem.shape == song.shape
    assert snr_db(song, stem) > 40


def test_shifted_copies_are_averaged():
    """The network marks each window's first sample, so that the result shows where windows began."""

    def first_sample(windows):
        marks = torch.zeros_like(windows)
        marks[..., 0] = 1.0
        return marks.unsqueeze(1)

    for shifts, places in ((1, [0, 100, 200]), (2, [0, 50, 100, 150, 200])):
        params = AudioParams(window_seconds=0.1, hop_seconds=0.1, fade="rectangle", shifts=shifts)
        stem = Separator(first_sample, ["marks"], 1000, params)(torch.zeros(1, 300))["marks"][0]
        assert stem.nonzero().flatten().tolist() == places
        assert stem[:200].max() == pytest.approx(1 / shifts)


def test_the_callers_gradient_mode_is_left_alone(tiny):
    stems = tiny.stream(music(50_000).split(20_000, dim=-1))
    next(stems)
    assert not torch.is_inference_mode_enabled()
    assert torch.is_grad_enabled()


@pytest.mark.parametrize(("window", "hop"), [(1e-9, 1e-9), (1e-3, 1e-3), (0.5, 0.5)])
def test_the_network_takes_the_smallest_windows(tiny, window, hop):
    separator = tiny.only(["vocals"])
    separator.audio_params = AudioParams(window, hop)
    length = 20 if window < 1e-6 else 5_001
    assert separator(music(length))["vocals"].shape == (2, length)


def test_a_signal_without_samples_has_stems_without_samples(tiny):
    assert {stem.shape for stem in tiny(torch.zeros(2, 0)).values()} == {(2, 0)}


def forgetful(capacity, sizes, error):
    """A network that runs out of memory on more windows than ``capacity``."""

    def network(windows):
        sizes.append(len(windows))
        if len(windows) > capacity:
            raise error
        return windows.unsqueeze(1)

    return network


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), torch.OutOfMemoryError(), RuntimeError("MPS backend out of memory")],
)
def test_out_of_memory_halves_the_batch_and_says_so_once(caplog, monkeypatch, error):
    monkeypatch.setattr("demixer.separation.separator.spread_over_cores", lambda network, windows: network(windows))
    sizes, song = [], noise(6_400)
    separator = Separator(forgetful(2, sizes, error), ["all"], 1000, AudioParams(0.1, 0.1, batch_size=8), "cpu")
    with caplog.at_level(logging.WARNING):
        torch.testing.assert_close(separator(song)["all"], song)
    assert sizes[:6] == [8, 4, 2, 2, 2, 2]
    assert set(sizes[6:]) == {2}
    assert caplog.messages == [
        "`cpu` ran out of memory: it computes 2 windows at once from now on, not 8, to the same stems"
    ]


def test_one_window_too_large_for_the_memory_is_told():
    separator = Separator(forgetful(0, [], torch.OutOfMemoryError()), ["all"], 1000, AudioParams(), "cpu")
    with pytest.raises(UserError, match="`cpu` has not enough memory for a window of 3000 samples"):
        separator(noise(10_000))


def test_other_errors_of_the_network_are_not_hidden():
    separator = Separator(forgetful(0, [], RuntimeError("shapes differ")), ["all"], 1000, AudioParams(), "cpu")
    with pytest.raises(RuntimeError, match="shapes differ"):
        separator(noise(10_000))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"hop_seconds": 0.0}, "`audio_params.hop_seconds` \\(=0.0\\) must be above 0 and at most"),
        ({"hop_seconds": 3.5}, "`audio_params.hop_seconds` \\(=3.5\\) must be above 0 and at most"),
        ({"batch_size": 0}, "`audio_params.batch_size` \\(=0\\) must be at least 1"),
        ({"fade": "cosine"}, "`audio_params.fade` \\(='cosine'\\) must be one of"),
        ({"shifts": 0}, "`audio_params.shifts` \\(=0\\) must lie in 1 … 32"),
        ({"shifts": 10**9}, "`audio_params.shifts` \\(=1000000000\\) must lie in 1 … 32"),
        ({"window_seconds": float("inf")}, "`audio_params.hop_seconds` \\(=1.5\\) must be above 0 and at most"),
        ({"window_seconds": "3"}, "`audio_params.window_seconds` \\(='3'\\) must be of type float"),
        ({"batch_size": 2.5}, "`audio_params.batch_size` \\(=2.5\\) must be of type int"),
        ([3.0, 1.5], "`audio_params` \\(=\\[3.0, 1.5\\]\\) must be settings by name"),
        ({"overlap": 2}, "`audio_params` has no setting \\['overlap'\\]"),
    ],
)
def test_impossible_audio_params_are_refused(params, message):
    with pytest.raises(UserError, match=message):
        AudioParams.from_mapping(params)
