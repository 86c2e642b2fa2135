"""Windows that are changed for a run; several models as one: averaged, augmented, one after the other."""

import sys

import numpy as np
import pytest
import torch

from demixer import AudioParams, AugmentedSeparator, AveragedSeparator, ChainedSeparator, Separator
from demixer.commands import demix
from demixer.errors import UserError
from demixer.separation.combining import Combination
from demixer.separation.cutting import Cutting
from tests.song_files import music, noise, read, share_separator, snr_db, write_song, write_tiny_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model"))


def streamed(separator, song, block):
    return torch.cat(list(separator.stream(song.split(block, dim=-1))), dim=-1)


# Windows


@pytest.mark.parametrize(
    ("cutting", "expected"),
    [
        (Cutting(), AudioParams(3.0, 1.5)),
        (Cutting(overlap=0.75), AudioParams(3.0, 0.75)),
        (Cutting(overlap=0.0), AudioParams(3.0, 3.0)),
        (Cutting(segment_seconds=6.0), AudioParams(6.0, 3.0)),
        (Cutting(segment_seconds=6.0, overlap=0.25), AudioParams(6.0, 4.5)),
        (Cutting(batch_size=9, shifts=3), AudioParams(3.0, 1.5, batch_size=9, shifts=3)),
    ],
)
def test_windows_are_changed_in_the_terms_of_separators(cutting, expected):
    separator = share_separator({"all": 1.0}, window_seconds=3.0, hop_seconds=1.5)
    cutting.apply(separator)
    assert separator.audio_params == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"segment_seconds": 0.0}, r"`--segment` \(=0\) must lie in 0.1 … 120 s"),
        ({"segment_seconds": float("nan")}, r"`--segment` \(=nan\) must lie"),
        ({"segment_seconds": 1e9}, r"`--segment` \(=1e\+09\) must lie"),
        ({"overlap": 1.0}, r"`--overlap` \(=1\) must lie in 0 … 0.95 of a window"),
        ({"overlap": -0.1}, r"`--overlap` \(=-0.1\) must lie"),
        ({"batch_size": 0}, r"`--batch-size` \(=0\) must lie in 1 … 1024 windows"),
        ({"batch_size": 10**6}, r"`--batch-size` \(=1000000\) must lie"),
    ],
)
def test_windows_out_of_bounds_are_refused(values, message):
    with pytest.raises(UserError, match=message):
        Cutting(**values)


class FixedWindow:
    """A network that takes windows of one length only."""

    window_samples = 500

    def __init__(self):
        self.seen = []

    def __call__(self, windows):
        self.seen.append(windows.shape)
        return windows.unsqueeze(1)


def test_a_network_of_one_window_takes_no_other_but_any_overlap():
    network = FixedWindow()
    separator = Separator(network, ["all"], 1000, AudioParams(3.0, 1.5))
    with pytest.raises(
        UserError, match=r"`--segment` \(=2\): the model's network takes windows of 0.500 s and no othe"
    ):
        Cutting(segment_seconds=2.0).apply(separator)
    Cutting(overlap=0.8, batch_size=1).apply(separator)
    separator(noise(1000))
    assert network.seen == [(1, 2, 500)] * 6  # at 0, 100 … 500


@pytest.mark.parametrize(
    ("arguments", "windows"),
    [
        ([], {(2, 2, 22_050), (1, 2, 22_050)}),
        (["--segment", "1"], {(1, 2, 44_000)}),
        (["--overlap", "0", "--batch-size", "1"], {(1, 2, 22_050)}),
        (["--batch-size", "9"], {(3, 2, 22_050)}),
    ],
)
def test_the_command_changes_windows(tmp_path, monkeypatch, model, arguments, windows):
    write_song(tmp_path / "song.wav", music(44_000))
    seen, compute = set(), Separator._compute

    def watched(separator, batch):
        seen.add(tuple(batch.shape))
        return compute(separator, batch)

    monkeypatch.setattr(Separator, "_compute", watched)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr("demixer.separation.separator.spread_over_cores", lambda network, batch: network(batch))
    common = ["-o", str(tmp_path / "out"), "-c", str(model), "-d", "cpu", "-t", "vocals"]
    if not arguments:
        arguments = ["--batch-size", "2"]
    assert demix.main([str(tmp_path / "song.wav"), *common, *arguments]) == 0
    assert seen == windows


# Averages


def test_the_mean_is_weighted_by_model():
    first, second = share_separator({"vocals": 0.8, "other": 0.2}), share_separator({"vocals": 0.2, "other": 0.9})
    song = noise(50_000)
    stems = AveragedSeparator([first, second], [2, 1])(song)
    torch.testing.assert_close(stems["vocals"], 0.6 * song)
    torch.testing.assert_close(stems["other"], (0.4 + 0.9) / 3 * song)


def test_a_target_is_the_mean_of_the_models_that_have_it():
    averaged = AveragedSeparator(
        [share_separator({"vocals": 0.8}), share_separator({"bass": 0.3, "vocals": 0.2})], [3, 1]
    )
    song = noise(50_000)
    assert averaged.targets == ("vocals", "bass")
    stems = averaged(song)
    torch.testing.assert_close(stems["vocals"], 0.65 * song)
    torch.testing.assert_close(stems["bass"], 0.3 * song)


def test_of_several_models_only_those_compute_that_are_asked_for():
    computed = []

    def separator(name, targets):
        def network(windows):
            computed.append(name)
            return windows.unsqueeze(1).repeat(1, len(targets), 1, 1)

        return Separator(network, targets, 1000)

    averaged = AveragedSeparator([separator("a", ["vocals"]), separator("b", ["bass", "vocals"])], [3, 1])
    assert averaged.only(["bass"])(noise(1000)).keys() == {"bass"}
    assert {*computed} == {"b"}
    with pytest.raises(UserError, match="must be some of vocals, bass"):
        averaged.only(["kazoo"])


@pytest.mark.parametrize("length", [999, 48_000, 70_001])
def test_models_of_other_rates_are_resampled(length):
    first = share_separator({"all": 1.0})
    second = Separator(lambda windows: windows.unsqueeze(1), ["all"], 48_000)
    song = music(length)
    song *= torch.hann_window(length)
    stem = AveragedSeparator([second, first])(song, 44_100)["all"]
    assert stem.shape == song.shape
    assert length < 1000 or snr_db(song, stem) > 40


@pytest.mark.parametrize("combine", [lambda a, b: AveragedSeparator([a, b]), lambda a, b: ChainedSeparator(a, "a", b)])
def test_combinations_do_not_depend_on_the_blocks_and_hold_no_more_than_windows(combine):
    """However long the song is, no separator runs ahead of the other by more than its windows."""
    separators = [
        share_separator({"a": 0.5, "b": 0.2}, window_seconds=0.1, hop_seconds=0.05),
        share_separator({"a": 0.4, "b": 0.3}, window_seconds=0.3, hop_seconds=0.1, batch_size=2),
    ]
    combined, song = combine(*separators), noise(200_000)
    whole = streamed(combined, song, 200_000)
    assert whole.shape[1:] == (2, 200_000)
    torch.testing.assert_close(streamed(combined, song, 7_001), whole, rtol=0, atol=1e-6)
    drawn = given = most = 0

    def blocks():
        nonlocal drawn
        for block in song.split(1000, dim=-1):
            drawn += 1000
            yield block

    for block in combined.stream(blocks()):
        most = max(most, drawn - given)
        given += block.shape[-1]
    assert given == 200_000
    assert most < 44_100


@pytest.mark.parametrize(
    ("weights", "message"),
    [([1], r"`--weights` \(1\) must be as many as the models \(2\)"), ([1, 0], r"`--weights` \(=0\) must be above 0"),
     ([1, float("nan")], "must be above 0")],
)  # fmt: skip
def test_impossible_weights_are_refused(weights, message):
    with pytest.raises(UserError, match=message):
        AveragedSeparator([share_separator({"a": 1.0}), share_separator({"a": 1.0})], weights)


# Copies of the mixture


def channel_wise(windows):
    """Alike for both channels, and for the inverted mixture: nothing is gained by copies."""
    return (0.5 * windows).unsqueeze(1)


def lopsided(windows):
    """Hears the left channel too loud, and makes a constant of its own."""
    gains = torch.tensor([0.7, 0.3])[:, None]
    return (gains * windows + 0.1).unsqueeze(1)


@pytest.mark.parametrize(
    ("network", "useful"),
    [(channel_wise, ()), (lopsided, ("inverted", "mirrored", "mirrored and inverted"))],
)
def test_copies_that_a_model_answers_alike_are_not_computed(network, useful):
    separator = AugmentedSeparator(Separator(network, ["all"], 1000))
    assert separator.useful == useful


def test_errors_that_depend_on_the_side_or_the_sign_cancel_out():
    song = noise(20_000)
    plain = Separator(lopsided, ["all"], 1000)
    assert snr_db(0.5 * song, plain(song)["all"]) < 20
    assert snr_db(0.5 * song, AugmentedSeparator(plain)(song)["all"]) > 100


def test_mono_has_no_mirror_image():
    song = noise(20_000, channels=1)
    separator = AugmentedSeparator(Separator(lambda windows: (0.5 * windows + 0.1).unsqueeze(1), ["all"], 1000))
    assert snr_db(0.5 * song, separator(song)["all"]) > 100


def test_the_network_of_this_project_answers_the_mirrored_mixture_alike(model):
    assert AugmentedSeparator(Separator.from_pretrained(model, "cpu")).useful == ("inverted",)


def test_some_targets_of_an_augmented_separator():
    separator = AugmentedSeparator(share_separator({"a": 0.1, "b": 0.2, "c": 0.3})).only(["c", "a"])
    song = noise(30_000)
    assert separator.targets == ("a", "c")
    torch.testing.assert_close(separator(song)["c"], 0.3 * song)
    assert separator(torch.zeros(2, 0))["a"].shape == (2, 0)


# One after the other


def drums_taken_apart():
    first = share_separator({"vocals": 0.5, "drums": 0.4, "bass": 0.1})
    return ChainedSeparator(first, "drums", share_separator({"kick": 0.5, "snare": 0.25}))


def test_parts_stand_in_the_place_of_their_stem_and_add_up_to_it():
    song = noise(50_000)
    stems = drums_taken_apart()(song)
    assert tuple(stems) == ("vocals", "drums_kick", "drums_snare", "drums_rest", "bass")
    torch.testing.assert_close(stems["drums_kick"], 0.2 * song)
    torch.testing.assert_close(stems["drums_snare"], 0.1 * song)
    parts = [stem for target, stem in stems.items() if target.startswith("drums")]
    torch.testing.assert_close(sum(parts), 0.4 * song, rtol=0, atol=1e-7)


@pytest.mark.parametrize(
    "wanted",
    [["bass"], ["drums_kick"], ["drums_rest"], ["bass", "drums_snare"], ["vocals", "drums_rest", "drums_kick"]],
)
def test_some_parts_are_what_they_are_among_all(wanted):
    song, chained = noise(50_000), drums_taken_apart()
    whole, some = chained(song), chained.only(wanted)
    assert some.targets == tuple(target for target in chained.targets if target in wanted)
    for target, stem in some(song).items():
        torch.testing.assert_close(stem, whole[target], rtol=0, atol=1e-7)
    assert some.only(wanted[:1]).targets == (wanted[0],)


def test_a_part_that_nobody_asked_for_is_not_computed():
    def never(windows):
        raise AssertionError

    first = share_separator({"vocals": 0.5, "drums": 0.5})
    chained = ChainedSeparator(first, "drums", Separator(never, ["kick"], 44_100))
    assert chained.only(["vocals"])(noise(1000)).keys() == {"vocals"}


def test_a_chain_of_other_rates():
    length = 70_001
    then = Separator(lambda windows: windows.unsqueeze(1), ["all"], 32_000)
    chained = ChainedSeparator(share_separator({"drums": 0.4, "bass": 0.6}), "drums", then)
    song = music(length) * torch.hann_window(length)
    stems = chained(song)
    assert {stem.shape for stem in stems.values()} == {(2, length)}
    assert snr_db(0.4 * song, stems["drums_all"]) > 40
    torch.testing.assert_close(stems["drums_all"] + stems["drums_rest"], 0.4 * song, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("stem", "first", "then", "message"),
    [
        ("kazoo", ["drums"], ["kick"], r"`--then` \(=kazoo=…\): there is no stem kazoo, but drums"),
        ("drums", ["drums"], ["rest"], "its model has a target rest"),
        ("drums", ["drums", "drums_kick"], ["kick"], "two stems would have one name"),
    ],
)
def test_impossible_chains_are_refused(stem, first, then, message):
    shares = [dict.fromkeys(targets, 0.5) for targets in (first, then)]
    with pytest.raises(UserError, match=message):
        ChainedSeparator(share_separator(shares[0]), stem, share_separator(shares[1]))


# The command


def test_the_command_combines_models(tmp_path, model):
    """Two equal models average to themselves; a chain's parts and the rest are written, and all add up."""
    path = write_song(tmp_path / "song.wav", noise(30_000, peak=0.5), subtype="PCM_16")
    arguments = ["-o", tmp_path / "out", "-c", model, "-c", model, "--weights", "3", "1", "--then", f"drums={model}"]
    arguments += ["--residual", "other", "--format", "wav16", "-d", "cpu", "--precision", "fp32"]
    assert demix.main([*map(str, [path, *arguments])]) == 0
    parts = {f"drums_{target}" for target in ("vocals", "drums", "bass", "other", "rest")}
    files = {file.name: np.rint(read(file) * 2**15) for file in (tmp_path / "out").glob("*.wav")}
    assert {*files} == {f"song_{stem}.wav" for stem in {"vocals", "bass", "other", *parts}}
    assert np.array_equal(sum(files.values()), np.rint(read(path) * 2**15))
    vocals = Separator.from_pretrained(model, "cpu", "fp32")(torch.from_numpy(read(path)).float())["vocals"]
    assert np.abs(files["song_vocals.wav"] - vocals.numpy() * 2**15).max() < 1.6


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--weights", "2", "1"], "`--weights` must be one for each model: 2 for 1 "),
        (["--then", "drums"], r"`--then` \(='drums'\) must be a stem and a model, as in drums=MODEL"),
        (["--then", "kazoo=MODEL"], "there is no stem kazoo, but vocals, drums, bass, other"),
        (["--then", "drums=nowhere"], "no model at `nowhere`"),
        (["--overlap", "1"], "`--overlap`"),
    ],
)
def test_what_does_not_go_together_is_refused(tmp_path, model, monkeypatch, arguments, line):
    monkeypatch.setattr(sys, "argv", ["demix"])
    arguments = [argument.replace("MODEL", str(model)) for argument in arguments]
    with pytest.raises(UserError, match=line):
        demix.main([str(tmp_path / "song.wav"), "-c", str(model), "-d", "cpu", *arguments])


def test_a_combination_is_loaded_from_names(model):
    combination = Combination([str(model)], augmented=True, cutting=Cutting(overlap=0.0))
    separator = combination.load("cpu", "fp32")
    assert separator.separator.audio_params.hop_seconds == 0.5
    song = music(30_000)
    plain = Separator.from_pretrained(model, "cpu", "fp32")
    plain.audio_params = AudioParams(0.5, 0.5)
    expected = (plain(song)["bass"] - plain(-song)["bass"]) / 2
    torch.testing.assert_close(separator(song)["bass"], expected, rtol=0, atol=1e-6)
