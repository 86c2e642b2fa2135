"""The live network: what it may know, and that it computes the same whether a song comes whole or as it plays."""

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_runs import tiny_run
from torch import Tensor, nn

from demixer.checkpoints.hparams import write_hparams
from demixer.checkpoints.weights import write_weights
from demixer.errors import UserError
from demixer.evaluation.evaluating import Settings, evaluate
from demixer.evaluation.scores import summarise
from demixer.model.building import build_network
from demixer.model.live.folding import folded
from demixer.model.live.network import LiveNetwork
from demixer.model.live.normalisation import CausalNorm, fading_sums
from demixer.model.live.spectrogram import LiveSpectrogram
from demixer.model.separation_network import SeparationNetwork
from demixer.separation.combining import Combination
from demixer.separation.cutting import Cutting
from demixer.separation.live import LiveSeparator
from demixer.separation.separator import Separator

RATE_HZ = 8000
SMALL = {
    "targets": ["vocals", "bass"],
    "bands_hz": [[500, 250], [2000, 500]],
    "featurizer": {"n_fft": 256, "hop_samples": 64, "synthesis_samples": 128, "sample_rate_hz": RATE_HZ},
}
VARIANTS = [
    {},
    {"look_ahead": 2},
    {"norm": "frame", "look_ahead": 2},
    {"norm": "frame", "rnn": "gru", "tac": {}},
    {"rnn": "gru", "tac": {}, "look_ahead": 1},
]


def hparams(featurizer: dict[str, int] | None = None, **model: Any) -> dict[str, Any]:
    settings = {"architecture": "bandsplitrnn_live", "features": 12, "repeats": 2, **model}
    return SMALL | {"featurizer": SMALL["featurizer"] | (featurizer or {}), "model": settings}


def network(featurizer: dict[str, int] | None = None, **model: Any) -> LiveNetwork:
    """One whose weights are as large as training leaves them: its norms' factors are no longer 1, its masks vary."""
    torch.manual_seed(0)
    made = build_network(hparams(featurizer, **model))
    for name, weights in made.named_parameters():
        if weights.ndim == 1 or "norm" in name:
            weights.data += 0.3 * torch.randn(weights.shape)
        elif ".fc." in name or ".outputs." in name:
            weights.data *= 2
    return made.eval()


def separator(made: LiveNetwork) -> Separator:
    return Separator(made, made.targets, RATE_HZ)


def music(seconds: float, channels: int = 2, seed: int = 0) -> Tensor:
    """Notes that swell and fade, with noise between them, loud and quiet passages, and a second of silence: (C, L)."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(round(seconds * RATE_HZ)) / RATE_HZ
    tones = sum(
        torch.sin(6.2832 * hz * time) * torch.sin(hz * time).clamp_min(0) for hz in (83.0, 220.0, 587.0, 1661.0)
    )
    noise = torch.randn(channels, len(time), generator=generator) * torch.sin(7 * time).clamp_min(0) ** 8
    loudness = 10 ** (1.5 * torch.sin(0.7 * time) - 1.7)
    return loudness * (0.2 * tones + noise) * ((time < 3) | (time > 4))


def blocks_of(signal: Tensor, longest: int, seed: int = 0, multiple: int = 1) -> list[Tensor]:
    """The signal in blocks of random lengths, some of none and some of one sample."""
    draw, starts = random.Random(seed), [0]
    while starts[-1] < signal.shape[-1]:
        length = draw.choice([0, 1, draw.randint(2, longest)]) * multiple
        starts.append(min(starts[-1] + length, signal.shape[-1]))
    return [signal[..., start:end] for start, end in pairwise(starts)]


def played(live: LiveSeparator, blocks: list[Tensor]) -> Tensor:
    """All that comes out of a stream and its end, (S, C, L + latency)."""
    return torch.cat([*map(live.process, blocks), live.flush()], dim=-1)


@torch.no_grad()
def whole(made: LiveNetwork, signal: Tensor) -> Tensor:
    return made(signal.unsqueeze(0))[0]


@pytest.mark.parametrize(
    ("n_fft", "synthesis", "hop"),
    [(2048, 1024, 512), (2048, 512, 256), (2048, 2048, 1024), (2048, 1024, 256), (512, 512, 128), (600, 90, 30)],
)
@pytest.mark.parametrize("length", [1, 511, 2047, 5000])
def test_the_inverse_of_the_live_transform_gives_the_waveform_back(n_fft, synthesis, hop, length) -> None:
    spectrogram = LiveSpectrogram(n_fft, hop, synthesis)
    waveform = 2 * torch.rand(2, 3, length, generator=torch.Generator().manual_seed(0)) - 1
    spectrum = spectrogram(waveform)
    assert spectrum.stride(-2) == 1  # frame-major
    torch.testing.assert_close(spectrogram.inverse(spectrum, length), waveform, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("n_fft", "synthesis", "hop"), [(64, 32, 8), (64, 64, 32), (64, 16, 8)])
def test_a_sample_waits_for_the_synthesis_window_and_no_longer(n_fft, synthesis, hop) -> None:
    spectrogram, waveform = LiveSpectrogram(n_fft, hop, synthesis), torch.randn(1, 400)
    earliest = []
    for sample in range(200, 200 + hop):
        changed = waveform.clone()
        changed[:, sample] += 1
        spectra = (spectrogram(signal) for signal in (waveform, changed))
        before, after = (spectrogram.inverse(spectrum * spectrum.abs(), 400) for spectrum in spectra)
        earliest.append(int((before != after).nonzero()[0, 1]) - sample)
    assert min(earliest) == -spectrogram.latency_samples == 1 - synthesis
    assert max(earliest) == hop - synthesis  # the last samples before a frame ends wait less


@pytest.mark.parametrize(
    "lengths", [(2048, 512, 768), (2048, 512, 4096), (2048, 512, 512), (2048, 0, 1024), (2047, 512, 1024), (30, 5, 15)]
)
def test_an_impossible_live_transform_is_refused(lengths: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"`(n_fft|synthesis_samples)` \(=\d+\) must be even"):
        LiveSpectrogram(*lengths)


def test_a_running_norm_is_the_fading_mean_over_the_past() -> None:
    powers, norm = torch.rand(3, 11, 2), CausalNorm("running", frames=4.0, eps=0.1)
    factors, state = norm(powers, norm.initial_state(3, 2))
    total = weight = torch.zeros(3, 2)
    for t in range(11):
        total, weight = (
            after + torch.exp(torch.tensor(-0.25)) * before for after, before in ((powers[:, t], total), (1, weight))
        )
        torch.testing.assert_close(factors[:, t], (total / weight + 0.1).rsqrt())
    torch.testing.assert_close(state["sums"], torch.stack([total, weight]))


def test_fading_sums_go_on_where_they_stood() -> None:
    x = torch.randn(2, 300, 3)
    at_once = fading_sums(x, torch.ones(2, 3), 0.97)
    first = fading_sums(x[:, :101], torch.ones(2, 3), 0.97)
    torch.testing.assert_close(fading_sums(x[:, 101:], first[:, -1], 0.97), at_once[:, 101:], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_nothing_is_known_of_the_future_and_no_less_than_is_said_of_the_past(settings: dict) -> None:
    """NaN spreads to all that hears it: what stays bit-equal has not."""
    made, signal, earliest = network(**settings), music(0.6), []
    hop, untouched = made.hop_samples, whole(made, music(0.6))
    for last_known in (*random.Random(0).sample(range(1000, 4000), 6), 40 * hop - 2):
        spoilt = signal.clone()
        spoilt[:, last_known + 1 :] = torch.nan
        estimates = whole(made, spoilt)
        heard = int(estimates.isnan().any(0).any(0).nonzero()[0])
        assert torch.equal(estimates[..., :heard], untouched[..., :heard])
        earliest.append(heard - last_known)
    assert min(earliest) == 1 - made.latency_samples  # everything up to t − latency, and not one sample more


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_a_stream_gives_out_nothing_that_depends_on_what_has_not_come(settings: dict) -> None:
    made, draw = network(**settings), random.Random(1)
    for seed in range(5):
        signal, last_known = music(0.6), draw.randrange(500, 4000)
        other = signal.clone()
        other[:, last_known + 1 :] = 10 * torch.randn(2, signal.shape[1] - last_known - 1)
        streams = [played(separator(made).live(), blocks_of(song, 700, seed)) for song in (signal, other)]
        assert torch.equal(*(stems[..., : last_known + 1] for stems in streams))
        assert not torch.equal(*(stems[..., : last_known + 1 + made.hop_samples] for stems in streams))


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
@pytest.mark.parametrize("channels", [1, 2])
def test_random_blocks_give_what_the_whole_signal_gives(settings: dict, channels: int) -> None:
    made, signal = network(**settings), music(1.5, channels)
    expected = whole(made, signal)
    live = separator(made).live(channels)
    for seed in range(3):
        stems = played(live, blocks_of(signal, 300, seed))
        assert stems.shape == (2, channels, signal.shape[1] + live.latency_samples)
        torch.testing.assert_close(stems[..., live.latency_samples :], expected, atol=1e-5, rtol=0)
    assert expected.std() > 0.1 * signal.std()  # it is about something


@pytest.mark.parametrize("look_ahead", [0, 1, 3])
def test_masks_of_one_give_the_mixture_back_at_its_time(look_ahead: int) -> None:
    made, signal = network(look_ahead=look_ahead), music(1)
    for estimator in made.bandsplitrnn.mask.estimators:
        for layer in estimator.outputs:  # values and their gates, real and imaginary parts side by side
            values, gates = layer.bias.data.chunk(2, dim=1)
            layer.weight.data.zero_()
            gates.fill_(100)
            values.copy_(torch.tensor([1.0, 0.0]).repeat(values.shape[1] // 2))
    live = separator(made).live()
    for stems in (whole(made, signal), played(live, blocks_of(signal, 500))[..., live.latency_samples :]):
        torch.testing.assert_close(stems, signal.expand(2, -1, -1), atol=1e-6, rtol=0)


def test_the_time_constant_of_running_norms_is_in_seconds() -> None:
    for hop in (32, 64):
        norm = network({"hop_samples": hop}, norm_seconds=2.5).bandsplitrnn.split.norm
        assert norm.decay ** (2.5 * RATE_HZ / hop) == pytest.approx(1 / 2.71828, rel=1e-4)


@pytest.mark.parametrize("settings", [{}, {"look_ahead": 2, "norm": "frame"}], ids=str)
def test_over_a_minute_the_stream_stays_with_the_whole(settings: dict) -> None:
    made, signal = network({"n_fft": 512, "hop_samples": 256, "synthesis_samples": 512}, **settings), music(60)
    live = separator(made).live()
    stems = played(live, blocks_of(signal, 4000))[..., live.latency_samples :]
    assert (stems - whole(made, signal)).abs().max() < 1e-5


@pytest.mark.parametrize(("block", "earlier"), [(1, 0), (3, 0), (16, 15), (64, 63), (640, 63), (96, 31)])
def test_blocks_that_end_where_frames_do_come_sooner(block: int, earlier: int) -> None:
    made, signal = network(look_ahead=1), music(1.2)
    live = separator(made).live(block_samples=block)
    assert live.latency_samples == made.latency_samples - earlier == 127 + 64 - earlier
    signal = signal[:, : signal.shape[1] // block * block]
    stems = played(live, blocks_of(signal, 9, multiple=block))[..., live.latency_samples :]
    torch.testing.assert_close(stems, whole(made, signal), atol=1e-5, rtol=0)
    if block > 1:
        with pytest.raises(ValueError, match=f"`block` has {block + 1} samples: they must be a multiple of"):
            live.process(torch.zeros(2, block + 1))


@pytest.mark.parametrize("settings", [{}, {"norm": "frame"}], ids=str)
def test_silence_stays_silent_and_a_gap_ends(settings: dict) -> None:
    made = network(**settings)
    live = separator(made).live()
    assert not live.process(torch.zeros(2, 5000)).any()
    live.reset()
    signal = torch.cat([music(0.5), torch.zeros(2, 20 * RATE_HZ), music(0.5)], dim=-1)
    stems = played(live, [*signal.split(1000, dim=-1)])[..., live.latency_samples :]
    assert stems.isfinite().all()
    gap = stems[..., RATE_HZ // 2 + made.spectrogram.n_fft : -RATE_HZ // 2 - live.latency_samples]
    assert not gap.any()
    before, after = stems[..., : RATE_HZ // 2], stems[..., -RATE_HZ // 2 :]
    assert 0.3 < after.std() / before.std() < 3


def test_reset_and_flush_forget_all() -> None:
    made, signal = network(look_ahead=1), music(0.5)
    live = separator(made).live()
    fresh = {name: value.clone() for name, value in live.state.items()}
    first = played(live, [signal])
    assert all(torch.equal(live.state[name], value) for name, value in fresh.items())
    live.process(music(0.3, seed=1))
    live.reset()
    assert torch.equal(played(live, [signal]), first)


def test_a_state_that_is_put_back_goes_on_from_there() -> None:
    live, signal = separator(network(look_ahead=1)).live(), music(0.5)
    live.process(signal[:, :1777])
    kept = dict(live.state)
    expected = live.process(signal[:, 1777:])
    live.reset()
    live.state = kept
    assert torch.equal(live.process(signal[:, 1777:]), expected)


def test_memory_is_flat() -> None:
    made = network(look_ahead=2, tac={})
    live, sizes = separator(made).live(), set()
    for block in blocks_of(torch.randn(2, 200_000), 600)[:1000]:
        live.process(block)
        held = {name: tuple(value.shape) for name, value in live.state.items()}
        waiting = held.pop("input")[1] + held.pop("output")[2]
        storage = sum(value.untyped_storage().nbytes() for value in live.state.values())
        sizes.add((waiting, tuple(held.items())))
        assert storage < 100_000
    assert len(sizes) == 1


def test_what_is_no_block_is_refused_and_the_stream_goes_on() -> None:
    made, signal = network(), music(0.5)
    live = separator(made).live()
    parts = [live.process(signal[:, :900])]
    spoilt = signal[:, 900:1000].clone()
    spoilt[1, 7] = torch.nan
    for block, message in (
        (spoilt, "sample 7 of channel 1 is infinite or not a number"),
        (signal[:1, 900:1000], "`block` has 1 channels: this stream has 2"),
        (torch.zeros(2, 5, dtype=torch.int16), "of int16"),
        (torch.zeros(3, 5), "C = 1 or 2"),
        ([0.0], "of type list"),
    ):
        with pytest.raises(ValueError, match=message):
            live.process(block)
    parts += [live.process(signal[:, 900:]), live.flush()]
    assert torch.equal(torch.cat(parts, dim=-1)[..., 900:], played(live, [signal[:, :900], signal[:, 900:]])[..., 900:])


def test_arrays_are_taken_and_of_nothing_comes_nothing() -> None:
    live = separator(network()).live(channels=1)
    assert live.process(music(0.1, 1).numpy()).shape == (2, 1, 800)
    assert live.process(torch.zeros(1, 0)).shape == (2, 1, 0)
    assert separator(network()).live().flush().shape == (2, 2, 127)


def test_a_network_that_hears_the_future_cannot_separate_live() -> None:
    offline = SMALL["featurizer"] | {"synthesis_samples": None}
    offline.pop("synthesis_samples")
    made = build_network(SMALL | {"featurizer": offline, "model": {"features": 8, "repeats": 1}})
    with pytest.raises(UserError, match=r"BandSplitRNN\) is not causal.*model=bandsplitrnn_live"):
        Separator(made, made.targets, RATE_HZ).live()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"attention": {}}, "`model` has no setting 'attention'"),
        ({"norm": "group"}, "`model.norm` .='group'. must be one of running, frame"),
        ({"look_ahead": -1}, "`model.look_ahead` .=-1. must be a whole number from 0"),
        ({"norm_seconds": 0}, "`model.norm_seconds` .=0. must be a number from 0.001"),
    ],
)
def test_settings_that_are_not_a_live_networks_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        network(**settings)


@pytest.mark.parametrize("settings", VARIANTS, ids=str)
def test_a_whole_song_is_separated_as_it_is_heard_live(settings: dict) -> None:
    made, signal = network(**settings), music(5)
    expected, apart = whole(made, signal), separator(made)
    stems = apart(signal)
    torch.testing.assert_close(torch.stack(list(stems.values())), expected, atol=1e-5, rtol=0)
    in_blocks = torch.cat(list(apart.stream(blocks_of(signal, 3000))), dim=-1)
    torch.testing.assert_close(in_blocks, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(apart.only(["bass"])(signal)["bass"], stems["bass"], atol=1e-6, rtol=0)
    assert list(apart.stream([])) == []
    assert apart(torch.zeros(2, 1))["bass"].shape == (2, 1)


def test_bf16_hears_the_same_live_and_whole() -> None:
    made, signal = network(tac={}), music(3)
    exact, low = whole(made, signal), Separator(made, made.targets, RATE_HZ, precision=torch.bfloat16)
    live = low.live()
    stems = played(live, blocks_of(signal, 900))[..., live.latency_samples :]
    assert 0 < (stems - exact).norm() < 0.03 * exact.norm()
    state = {name: value.dtype for name, value in live.state.items()}
    assert {*state.values()} == {torch.float32}


def test_every_parameter_learns_and_checkpointing_changes_no_gradient() -> None:
    made, signal = network(tac={}, look_ahead=1).train(), music(0.3).unsqueeze(0)
    gradients = []
    for made.bandsplitrnn.checkpointing in (False, True):
        made.zero_grad()
        made(signal).square().sum().backward()
        gradients.append({name: weights.grad.clone() for name, weights in made.named_parameters()})
    assert [name for name, gradient in gradients[0].items() if not gradient.abs().sum() > 0] == []
    torch.testing.assert_close(*gradients)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch hides it itself, unless warnings are errors
def test_compiled_parts_of_a_live_network_compute_the_same() -> None:
    made, signal, traced = network(tac={}), music(0.3), []
    expected = whole(made, signal)

    def backend(graph: torch.fx.GraphModule, _: list) -> object:
        traced.append(graph)
        return graph.forward

    made.bandsplitrnn.compile(backend=backend)
    torch.testing.assert_close(whole(made, signal), expected, atol=1e-5, rtol=1e-4)
    assert traced


def test_items_of_a_batch_do_not_hear_each_other() -> None:
    made, songs = network(tac={}), torch.stack([music(0.4, seed=seed) for seed in range(3)])
    with torch.no_grad():
        together = made(songs)
    assert together.shape == (3, 2, 2, songs.shape[-1])
    torch.testing.assert_close(together[1], whole(made, songs[1]), atol=1e-5, rtol=0)


def test_running_norms_hear_how_loud_it_is_and_frames_by_themselves_do_not() -> None:
    """A passage twenty times as quiet as the one before it: by itself it is separated as if it were as loud."""
    signal = torch.randn(2, RATE_HZ, generator=torch.Generator().manual_seed(0))
    quieter = signal * torch.where(torch.arange(RATE_HZ) < RATE_HZ // 2, 1, 0.05)
    late = slice(3 * RATE_HZ // 4, None)
    answers = {}
    for norm in ("running", "frame"):
        made = network(norm=norm, norm_eps=1e-12)
        masks = [whole(made, mixture)[..., late] / level for mixture, level in ((signal, 1), (quieter, 0.05))]
        answers[norm] = float((masks[0] - masks[1]).norm() / masks[0].norm())
    assert answers["frame"] < 0.05 < 0.2 < answers["running"]


def test_a_network_for_whole_windows_may_have_the_live_transform() -> None:
    """So that its loss against a live one is that of its ears, not of its transform."""
    made = build_network(SMALL | {"model": {"features": 8, "repeats": 1}})
    assert isinstance(made.spectrogram, LiveSpectrogram)
    assert made.latency_samples is None
    assert made(music(0.2).unsqueeze(0)).shape == (1, 2, 2, 1600)
    assert isinstance(made.bandsplitrnn, nn.Module)


def saved(folder: Path, made: SeparationNetwork, **model: Any) -> Path:
    """A network as a saved model, which has these settings of :func:`network`."""
    write_hparams(folder, hparams(**model) | {"targets": list(made.targets)})
    write_weights(folder / "weights.safetensors", made.state_dict(), torch.float32)
    return folder


def test_networks_of_one_target_each_are_heard_live_side_by_side(tmp_path: Path) -> None:
    for target in ("bass", "vocals"):
        saved(tmp_path / target, network().only([target]))
    both, signal = Separator.from_pretrained(tmp_path, "cpu", "fp32"), music(1)
    live = both.live()
    stems = played(live, blocks_of(signal, 500))[..., live.latency_samples :]
    for target, stem in zip(both.targets, stems, strict=True):
        alone = Separator.from_pretrained(tmp_path / target, "cpu", "fp32")
        torch.testing.assert_close(stem, alone(signal)[target], atol=1e-5, rtol=0)
    torch.testing.assert_close(both.only(["bass"])(signal)["bass"], both(signal)["bass"])
    saved(tmp_path / "vocals", network(look_ahead=1).only(["vocals"]), look_ahead=1)
    with pytest.raises(UserError, match=r"not one model: their latencies differ .\['127', '191'\]."):
        Separator.from_pretrained(tmp_path, "cpu")


@pytest.mark.parametrize(
    ("option", "settings"),
    [
        ("--segment", {"segment_seconds": 2.0}),
        ("--overlap", {"overlap": 0.75}),
        ("--batch-size", {"batch_size": 2}),
        ("--shifts", {"shifts": 2}),
    ],
)
def test_options_for_windows_are_not_silently_ignored(tmp_path: Path, option: str, settings: dict) -> None:
    folder = saved(tmp_path / "model", network())
    with pytest.raises(UserError, match=f"`{option}`: the model is live.*leave it out"):
        Combination([str(folder)], cutting=Cutting(**settings)).load("cpu")
    assert Combination([str(folder)], cutting=Cutting()).load("cpu").latency_samples == 127


def test_a_run_and_an_evaluation_tell_the_latency(
    tmp_path: Path, comb_musdb: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A live network is trained, validated, evaluated and separates, and is found again as what it was."""
    overrides = ("model=bandsplitrnn_live_small", "featurizer=live", "model.look_ahead=1", "model.tac={factor: 1}")
    run_dir, songs = tmp_path / "run", [f"data.roots=[{comb_musdb}]", "data.samples_per_epoch=4", "data.batch_size=2"]
    with caplog.at_level("INFO"):
        metrics = tiny_run(run_dir, *overrides, *songs, "trainer.precision=bf16-mixed", "trainer.max_epochs=2")
    assert "latency 3071 samples, 69.6 ms" in caplog.text
    found = evaluate(run_dir, comb_musdb, Settings("cpu", "bf16"), split="valid", report=False)
    assert (found.about["windows"], found.about["latency"]) == ("none", "3071 samples, 69.6 ms")
    assert summarise(found)["mean"]["usdr_db"] == pytest.approx(float(metrics["val/usdr"]), abs=0.01)
    with pytest.raises(UserError, match="`--hop`: the model is live"):
        evaluate(run_dir, comb_musdb, Settings(hop_seconds=1.0), split="valid")


def test_a_stream_takes_the_weights_as_they_are_when_it_begins_and_changes_none() -> None:
    made, signal = network(tac={}), music(0.3)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    live, expected = separator(made).live(), whole(made, signal)
    shared = {value.data_ptr() for value in live.network.state_dict().values()}
    assert made.bandsplitrnn.sequence[0].time.rnn.weight_hh_l0.data_ptr() in shared  # no second network in memory
    torch.testing.assert_close(played(live, [signal])[..., live.latency_samples :], expected, atol=1e-5, rtol=0)
    assert not any("norm_weight" in name for name in live.network.state_dict())
    assert all(torch.equal(made.state_dict()[name], value) for name, value in before.items())
    with torch.no_grad():
        made.bandsplitrnn.split.projections[0].norm_weight.mul_(3)
    changed = whole(made, signal)
    torch.testing.assert_close(separator(made)(signal)["bass"], changed[1], atol=1e-5, rtol=0)
    assert (changed - expected).abs().max() > 1e-3


@pytest.mark.parametrize("mask", [{}, {"hidden_layers": 3, "hidden_factor": 2}], ids=str)
def test_masks_of_all_targets_at_once_are_those_of_each(mask: dict) -> None:
    """With bands of several widths, which do not lie side by side."""
    torch.manual_seed(0)
    widths = {"bands_bins": [20, 30, 20, 29, 30], "targets": ["vocals", "drums", "bass"]}
    made = build_network({**SMALL, **widths, "model": hparams(mask=mask)["model"]}).eval()
    for weights in made.parameters():
        weights.data += 0.2 * torch.randn(weights.shape)
    signal = music(0.4)
    torch.testing.assert_close(whole(folded(made), signal), whole(made, signal), atol=1e-5, rtol=0)
