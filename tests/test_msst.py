"""Checkpoints of Music-Source-Separation-Training: equal to the field's own code, or refused in a line."""

import inspect
import warnings
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from foreign_roformer import msst_state
from safetensors.torch import save_file
from test_variants import network as composed_network
from torch import Tensor, nn

from demixer.checkpoints.plain_yaml import LoaderWithTuples
from demixer.errors import UserError
from demixer.model.converting import convert
from demixer.model.layouts.msst.options import OF_WEIGHTS, READ, WITHOUT_EFFECT
from demixer.separation.separator import Separator

SIZES = {"dim": 16, "depth": 1, "stereo": True, "heads": 2, "dim_head": 8, "num_stems": 1}
TRANSFORM = {"stft_n_fft": 128, "stft_win_length": 128, "stft_hop_length": 32}
BS = SIZES | TRANSFORM | {"freqs_per_bands": (2, 2, 4, 9, 9, 39), "num_residual_streams": 1}
MEL = SIZES | TRANSFORM | {"num_bands": 6, "num_residual_streams": 1, "add_value_residual": False, "sample_rate": 16000}
ONE = {"time_transformer_depth": 1, "freq_transformer_depth": 1}
AUDIO = {"chunk_size": 32000, "sample_rate": 16000}


class _Dumper(yaml.Dumper):
    """Writes tuples with Python's tag, as the published files have them."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning)  # of the package's way to choose an attention
        warnings.filterwarnings("ignore", "A window was not provided", UserWarning)  # where it asks for the bins
        yield


def reference(kind: str, settings: dict) -> nn.Module:
    """The original with random weights and gains."""
    package = pytest.importorskip("bs_roformer", reason="needs requirements-dev.txt")
    torch.manual_seed(0)
    net = {"bs": package.BSRoformer, "mel": package.MelBandRoformer}[kind](**settings).eval().requires_grad_(False)
    for name, parameter in net.named_parameters():
        if "rotary" not in name:
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def write(folder: Path, state: object, model: dict | str, name: str = "any", **sections: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.ckpt"
    torch.save(state, file)
    stems = model.get("num_stems", 1) if isinstance(model, dict) else 1
    names = ["drums", "bass", "other", "vocals", "guitar", "piano"][:stems] if stems > 1 else ["vocals", "other"]
    training = {"instruments": names, "target_instrument": "vocals" if stems == 1 else None}
    if isinstance(model, dict):
        model = {option: f"torch.{value.__name__}" if callable(value) else value for option, value in model.items()}
    settings = {"audio": AUDIO, "model": model, "training": training, "inference": {"num_overlap": 4, "batch_size": 3}}
    (folder / f"{name}.yaml").write_text(yaml.dump(settings | sections, Dumper=_Dumper))
    return file


def separated(path: Path, mixture: Tensor) -> Tensor:
    with torch.inference_mode():
        return Separator.from_pretrained(path, device="cpu", precision="fp32").network(mixture)


LONG = {"stft_n_fft": 256, "stft_win_length": 200, "stft_hop_length": 50}
OF_TRAINING = {
    "attn_dropout": 0.5,
    "ff_dropout": 0.5,
    "flash_attn": False,
    "dim_freqs_in": 7,
    "multi_stft_resolution_loss_weight": 0.5,
    "multi_stft_resolutions_window_sizes": (512,),
    "multi_stft_hop_size": 99,
    "multi_stft_normalized": True,
    "multi_stft_window_fn": torch.hamming_window,
}
REFUSED = {"stft_window_fn"}
VARIANTS = {
    "bs": ("bs", BS),
    "bs-mono": ("bs", BS | {"stereo": False}),
    "bs-deep": ("bs", BS | {"time_transformer_depth": 2, "freq_transformer_depth": 3}),
    "bs-six-stems": ("bs", BS | ONE | {"num_stems": 6}),
    "bs-other-bands": ("bs", BS | ONE | {"freqs_per_bands": (5, 5, 5, 50)}),
    "bs-mask-1": ("bs", BS | ONE | {"mask_estimator_depth": 1}),
    "bs-mask-3": ("bs", BS | ONE | {"mask_estimator_depth": 3}),
    "bs-zero-dc": ("bs", BS | ONE | {"zero_dc": True}),
    "bs-short-window": ("bs", BS | ONE | {"stft_win_length": 100, "stft_hop_length": 25}),
    "bs-normalised-transform": ("bs", BS | ONE | {"stft_normalized": True}),
    "bs-other-sizes": ("bs", BS | ONE | {"dim": 24, "heads": 3, "dim_head": 4}),
    "bs-longer-transform": ("bs", BS | ONE | {"stft_n_fft": 256, "stft_win_length": 256, "freqs_per_bands": (29, 100)}),
    "bs-without-effect": ("bs", BS | ONE | OF_TRAINING),
    "mel": ("mel", MEL | {"linear_transformer_depth": 0}),
    "mel-deep": ("mel", MEL | ONE | {"linear_transformer_depth": 0, "depth": 3}),
    "mel-linear": ("mel", MEL | ONE | {"linear_transformer_depth": 2, "depth": 2}),
    "mel-four-stems": ("mel", MEL | ONE | {"linear_transformer_depth": 0, "num_stems": 4, "mask_estimator_depth": 2}),
    "bs-values": ("bs", BS | ONE | {"depth": 3}),
    "bs-values-deep": ("bs", BS | {"depth": 2}),
    "bs-streams": ("bs", BS | ONE | {"num_residual_streams": 4}),
    "bs-fractions": ("bs", BS | ONE | {"num_residual_streams": 3, "num_residual_fracs": 2, "depth": 2}),
    "bs-fractions-alone": ("bs", BS | ONE | {"num_residual_fracs": 2}),
    "bs-more-iterations": ("bs", BS | ONE | {"num_residual_streams": 2, "mc_hyper_conn_sinkhorn_iters": 5}),
    "bs-pope": ("bs", BS | {"use_pope": True}),
    "bs-all-new": ("bs", BS | {"use_pope": True, "num_residual_streams": 2, "depth": 2, "num_stems": 2}),
    "bs-part": ("bs", BS | ONE | {"freq_range": (3, 50), "freqs_per_bands": (2, 5, 40), "zero_dc": True}),
    "bs-lower-part": ("bs", BS | ONE | {"freq_range": (-1, 40), "freqs_per_bands": (20, 20), "zero_dc": True}),
    "mel-values": ("mel", MEL | ONE | {"linear_transformer_depth": 1, "depth": 3, "add_value_residual": True}),
    "mel-streams": ("mel", MEL | {"linear_transformer_depth": 1, "depth": 2, "num_residual_streams": 3}),
    "mel-pope": ("mel", MEL | ONE | {"linear_transformer_depth": 0, "use_pope": True}),
    "mel-all-new": (
        "mel",
        MEL | {"depth": 2, "num_residual_streams": 2, "use_pope": True, "add_value_residual": True},
    ),
    "mel-other-sizes": ("mel", MEL | {"dim": 24, "heads": 3, "dim_head": 4}),
    "mel-transform": ("mel", MEL | ONE | LONG | {"stft_normalized": True, "zero_dc": True, "sample_rate": 22050}),
    "mel-without-effect": (
        "mel",
        MEL | ONE | OF_TRAINING | {"match_input_audio_length": True, "linear_flash_attn": False},
    ),
    "mel-fractions": ("mel", MEL | ONE | {"num_residual_fracs": 2}),
    "mel-mono": ("mel", MEL | ONE | {"linear_transformer_depth": 0, "stereo": False, "num_bands": 9}),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_networks_compute_what_the_original_computes(tmp_path: Path, name: str) -> None:
    kind, settings = VARIANTS[name]
    net = reference(kind, settings)
    audio = {"audio": {"sample_rate": settings["sample_rate"]}} if "sample_rate" in settings else {}
    file = write(tmp_path, net.state_dict(), {"zero_dc": False, **settings}, **audio)
    mixture = 0.3 * torch.randn(2, 2 if settings["stereo"] else 1, 32 * 100, generator=torch.Generator().manual_seed(1))
    expected = net(mixture).reshape(2, settings["num_stems"], *mixture.shape[1:])
    estimates = separated(file, mixture)
    assert expected.abs().max() > 1e-2
    assert (estimates - expected).abs().max() <= 1e-5
    assert (estimates - expected).norm() <= 1e-4 * expected.norm()


@pytest.mark.parametrize("kind", ["bs", "mel"])
def test_every_option_of_the_package_is_tried_above_or_refused(kind: str) -> None:
    """What a newer package adds must be supported, known to be without effect, or refused, before this passes."""
    package = pytest.importorskip("bs_roformer", reason="needs requirements-dev.txt")
    options = {*inspect.signature({"bs": package.BSRoformer, "mel": package.MelBandRoformer}[kind]).parameters}
    base = {"bs": BS, "mel": MEL}[kind]
    tried = {name for of, settings in VARIANTS.values() for name in settings if of == kind}
    tried = {
        name
        for name in tried
        if len({str(settings.get(name, base.get(name))) for of, settings in VARIANTS.values() if of == kind}) > 1
    }
    assert options - tried - REFUSED == set()
    assert options <= READ | OF_WEIGHTS | WITHOUT_EFFECT | REFUSED


def test_mlp_expansion_factor_is_read_from_the_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original = pytest.importorskip("bs_roformer.bs_roformer", reason="needs requirements-dev.txt")
    narrow = partialmethod(original.MaskEstimator.__init__, mlp_expansion_factor=2)
    monkeypatch.setattr(original.MaskEstimator, "__init__", narrow)
    net = reference("bs", BS | ONE)
    file = write(tmp_path, net.state_dict(), {"zero_dc": False, "mlp_expansion_factor": 2, **BS, **ONE})
    mixture = torch.randn(1, 2, 3200)
    assert (separated(file, mixture)[:, 0] - net(mixture)).abs().max() <= 1e-5


@pytest.mark.shared
@pytest.mark.parametrize("name", ["bs-vocals", "bs-four-stems", "mel-vocals"])
def test_published_layouts_compute_what_their_own_code_computes(shared_dir: Path, tmp_path: Path, name: str) -> None:
    folder = shared_dir / "interop/roformer" / name
    recorded = np.load(folder / "io.npz")
    mixture, expected = (torch.from_numpy(recorded[part]) for part in ("mixture", "estimates"))
    expected = expected.reshape(len(mixture), -1, 2, expected.shape[-1])
    convert(folder, tmp_path / "ours")
    for path in (folder, next(folder.glob(f"{name}.[cs]*")), tmp_path / "ours"):
        difference = separated(path, mixture)[..., : expected.shape[-1]] - expected
        assert difference.abs().max() <= 1e-5
        assert difference.norm() <= 1e-4 * expected.norm()


@pytest.mark.parametrize(("kind", "features", "layers"), [("bs", 512, 1), ("mel", 384, 2)])
def test_published_sizes_have_the_original_number_of_parameters(kind: str, features: int, layers: int) -> None:
    """One of the twelve or six modules of the configurations with which most vocals checkpoints were trained."""
    settings = {"dim": features, "depth": 1, "stereo": True, "num_residual_streams": 1, **ONE}
    if kind == "mel":
        settings |= {"linear_transformer_depth": 0, "add_value_residual": False, "mask_estimator_depth": layers}
    with torch.device("meta"):
        model = {"bs": "bs_roformer", "mel": "mel_band_roformer"}[kind]
        net = composed_network(f"model={model}", f"model.features={features}", "model.repeats=1", "model.head_width=64")
    theirs = reference(kind, settings).parameters()
    rotary = 2 * 32  # frequencies, which are no parameters here
    assert sum(p.numel() for p in net.parameters()) == sum({id(p): p.numel() for p in theirs}.values()) - rotary


MODEL = {**BS, "depth": 2}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"lr": 1e-5}},
        lambda state: {"model": state, "optimizer": {"state": {}}},
        lambda state: {"model_state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {f"model._orig_mod.{key}": value for key, value in state.items()},
        lambda state: {key: value for key, value in state.items() if "rotary" not in key},
    ],
    ids=["state_dict", "model", "parallel", "compiled", "no rotary"],
)
def test_every_way_of_saving_is_the_same_network(tmp_path: Path, wrap: object) -> None:
    mixture = torch.randn(1, 2, 900)
    expected = separated(write(tmp_path / "bare", msst_state(), MODEL), mixture)
    assert torch.equal(separated(write(tmp_path / "other", wrap(msst_state()), MODEL), mixture), expected)


def test_files_are_found_by_either_name_and_told_in_our_terms(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = write(tmp_path, msst_state(), MODEL)
    file.with_suffix(".yaml").rename(tmp_path / "config_vocals.yml")
    for name in (".chpt", ".pth", ".safetensors"):
        other = tmp_path / "each" / name / f"any{name}"
        other.parent.mkdir(parents=True)
        save_file(msst_state(), other) if name == ".safetensors" else torch.save(msst_state(), other)
        (other.parent / "config_any.yaml").write_text((tmp_path / "config_vocals.yml").read_text())
        (other.parent / "more.yaml").write_text("{}")
    mixture = torch.randn(1, 2, 900)
    expected = separated(file, mixture)
    paths = [
        tmp_path,
        tmp_path / "config_vocals.yml",
        *(tmp_path / "each").iterdir(),
        *(tmp_path / "each").rglob("any.*"),
    ]
    assert len(paths) == 8
    for path in paths:
        assert torch.equal(separated(path, mixture), expected), path
    separator = Separator.from_pretrained(file, device="cpu")
    assert separator.targets == ("vocals",)
    params = separator.audio_params
    assert (separator.sample_rate_hz, params.window_seconds, params.hop_seconds, params.batch_size) == (
        16000,
        2.0,
        0.5,
        3,
    )
    convert(file, tmp_path / "ours")
    assert torch.equal(separated(tmp_path / "ours", mixture), expected)
    assert Separator.from_pretrained(tmp_path / "ours", device="cpu").audio_params == params


def test_half_precision_files_keep_exact_rotary_frequencies(tmp_path: Path) -> None:
    state = {key: value.half() if "rotary" in key else value for key, value in msst_state().items()}
    mixture = torch.randn(1, 2, 900)
    expected = separated(write(tmp_path / "full", msst_state(), MODEL), mixture)
    assert torch.equal(separated(write(tmp_path / "half", state, MODEL), mixture), expected)


def test_shared_biases_are_those_of_every_layer(tmp_path: Path) -> None:
    shared = {"shared_qkv_bias": 0.3 * torch.randn(48), "shared_out_bias": 0.3 * torch.randn(16)}
    mixture, state = torch.randn(1, 2, 900), msst_state()
    for prefix in (f"layers.{r}.{j}.layers.0.0." for r in range(2) for j in range(2)):
        state |= {
            f"{prefix}to_qkv.bias": shared["shared_qkv_bias"],
            f"{prefix}to_out.0.bias": shared["shared_out_bias"],
        }
    written = write(tmp_path / "each", state, MODEL)
    once = write(tmp_path / "once", msst_state() | shared, {**MODEL, "use_shared_bias": True})
    assert torch.equal(separated(written, mixture), separated(once, mixture))
    assert not torch.equal(separated(write(tmp_path / "none", msst_state(), MODEL), mixture), separated(once, mixture))


def test_skip_connections_are_told_by_the_yaml(tmp_path: Path) -> None:
    file = write(tmp_path, msst_state(), {**MODEL, "skip_connection": True})
    assert Separator.from_pretrained(file, device="cpu").network.bandsplitrnn.skip


def test_without_a_yaml_the_weights_say_what_they_can(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    net = reference(
        "bs",
        BS | ONE | {"stft_hop_length": 64, "stft_n_fft": 1024, "stft_win_length": 1024, "freqs_per_bands": (13, 500)},
    )
    torch.save(net.state_dict(), tmp_path / "my_vocals.ckpt")
    network = Separator.from_pretrained(tmp_path / "my_vocals.ckpt", device="cpu").network
    assert network.targets == ("vocals",)
    assert (network.spectrogram.n_fft, network.spectrogram.hop_samples, network.bandsplitrnn.channels) == (1024, 441, 2)
    assert "no YAML beside it" in caplog.text
    torch.save(net.state_dict(), tmp_path / "epoch_7.ckpt")
    with pytest.raises(UserError, match=r"needs the YAML.*BS-RoFormer of 1 stem\(s\), 2 bands, dim 16, depth 1"):
        Separator.from_pretrained(tmp_path / "epoch_7.ckpt", device="cpu")


class TestRefusals:
    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ({"num_residual_streams": 4}, r"`model.num_residual_streams` \(=4\) does not go with .*, which have 1"),
            ({"use_pope": True}, r"`model.use_pope` \(=True\) does not go with"),
            ({"stft_window_fn": "torch.hamming_window"}, r"`model.stft_window_fn` .*another window than Hann's"),
            ({"freq_range": [10, 20]}, r"`model.freq_range` \(=\[10, 20\]\) is not as wide as the bands"),
            ({"freq_range": [1, 2, 3]}, "must be two bins from 0 to 65"),
            ({"fourier_gates": 2}, r"`model.fourier_gates` \(=2\) is not known here"),
            ({"dim": 32}, r"`model.dim` \(=32\) does not go with the weights, which have 16"),
            ({"depth": 3}, r"`model.depth` \(=3\) does not go with the weights, which have 2"),
            ({"dim_head": 16}, r"`model.dim_head` \(=16\) does not go with the weights, which have 8"),
            ({"time_transformer_depth": 2}, "which have 1"),
            ({"mlp_expansion_factor": 2}, "which have 4"),
            ({"freqs_per_bands": [2, 63]}, "does not go with the weights, whose 6 bands have 2, 2, 4 … 39 bins"),
            ({"stft_hop_length": 0}, "`model.stft_hop_length` .=0. must be a whole number from 1"),
            ({"stft_hop_length": 100}, "`hop_samples` .=100. must lie in"),
            ({"stft_n_fft": 256}, "`bands_bins` add up to 65 bins instead of 129"),
            ({"stft_n_fft": 10**400}, "must be a whole number from 2"),
            ({"stereo": False}, r"with 1 channel\(s\) does not go with the weights"),
            ({"stereo": "yes"}, "`model.stereo` .='yes'. must be one of True, False"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_options_that_are_not_known(self, tmp_path: Path, option: dict, message: str) -> None:
        file = write(tmp_path, msst_state(), MODEL | option)
        with pytest.raises(UserError, match=message):
            Separator.from_pretrained(file, device="cpu")

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            ("layers.1.0.layers.0.0.to_value_residual_mix.weight", "missing: .*to_value_residual_mix.bias"),
            ("layers.1.0.layers.0.0.learned_value_residual_mix.0.weight", "value residuals are of another version"),
            ("layers.0.0.layers.0.0.dynamic_alpha_scale", "hyper-connections of an older kind"),
            ("layers.0.0.layers.0.0.to_qkv.lora_A", "LoRA adapters"),
            ("layers.0.0.layers.0.0.unheard_of", "1 left over: layers.0.0.layers.0.0.unheard_of"),
            (None, "1 missing: layers.1.1.layers.0.1.net.0.gamma"),
        ],
    )
    def test_weights_that_are_not_known(self, tmp_path: Path, key: str | None, message: str) -> None:
        state = msst_state()
        if key is None:
            del state["layers.1.1.layers.0.1.net.0.gamma"]
        else:
            state[key] = torch.zeros(1)
        with pytest.raises(UserError, match=message):
            Separator.from_pretrained(write(tmp_path, state, MODEL), device="cpu")

    @pytest.mark.parametrize(
        ("key", "shape"),
        [
            ("layers.0.0.layers.0.0.to_qkv.weight", (48,)),
            ("layers.0.0.layers.0.0.to_gates.weight", (0, 16)),
            ("layers.0.0.layers.0.0.to_qkv.weight", (42, 16)),
            ("layers.1.0.layers.0.0.to_qkv.weight", (47, 16)),
            ("band_split.to_features.0.0.gamma", ()),
            ("band_split.to_features.0.1.weight", (16, 3)),
            ("mask_estimators.0.to_freqs.1.0.2.bias", (3,)),
        ],
    )
    def test_weights_of_impossible_shapes(self, tmp_path: Path, key: str, shape: tuple[int, ...]) -> None:
        state = msst_state() | {key: torch.zeros(shape)}
        with pytest.raises(UserError):
            Separator.from_pretrained(write(tmp_path, state, MODEL), device="cpu")

    @pytest.mark.parametrize(
        ("settings", "name"),
        [
            ({"model": {"num_blocks_per_scale": 2, "num_subbands": 4, "bottleneck_factor": 4}}, "mdx23c"),
            ({"model": "htdemucs", "htdemucs": {"depth": 4}}, "htdemucs"),
            ({"model": {"dims": [4, 32], "bandsplit_ratios": [0.1, 0.9], "n_rnn_layers": 6}}, "scnet"),
            ({"model": {"dim": 256, "depth": 12, "time_conformer_depth": 1}}, "bs_conformer"),
            (
                {"model": {"dim": 256, "depth": 12}, "training": {"model_type": "bs_roformer_hyperace"}},
                "bs_roformer_hyperace",
            ),
            ({"model": {"size": 3}}, "an architecture that is not known here"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    @pytest.mark.parametrize("weights", ["roformer", "foreign"])
    def test_other_architectures_are_named(self, tmp_path: Path, settings: dict, name: str, weights: str) -> None:
        state = msst_state() if weights == "roformer" else {"conv.weight": torch.zeros(3)}
        file = write(tmp_path, state, settings["model"], **{k: v for k, v in settings.items() if k != "model"})
        with pytest.raises(UserError, match=f"any.yaml` describes {name}"):
            Separator.from_pretrained(file, device="cpu")

    @pytest.mark.parametrize(
        ("training", "message"),
        [
            ({"instruments": ["vocals", "other"]}, r"names 2 of .*\['vocals', 'other'\].*the weights estimate 1"),
            ({}, "names 0 of"),
            ([], r"`training` .=\[\]. must be settings by name"),
            ("x", "`training` .='x'. must be settings by name"),
            ({"target_instrument": "../.."}, "impossible names of targets"),
        ],
    )
    def test_targets_that_do_not_fit(self, tmp_path: Path, training: object, message: str) -> None:
        with pytest.raises(UserError, match=message):
            Separator.from_pretrained(write(tmp_path, msst_state(), MODEL, training=training), device="cpu")

    def test_a_yaml_runs_nothing(self, tmp_path: Path) -> None:
        file = write(tmp_path, msst_state(), MODEL)
        trap = tmp_path / "ran"
        file.with_suffix(".yaml").write_text(
            f"audio: {{}}\nmodel: !!python/object/apply:pathlib.Path.touch ['{trap}']\n"
        )
        with pytest.raises(
            UserError, match=r"cannot read the settings `.*any.yaml` of .*could not determine a constructor"
        ):
            Separator.from_pretrained(file, device="cpu")
        assert not trap.exists()
        assert yaml.load("!!python/tuple [1, 2]", LoaderWithTuples) == [1, 2]

    def test_a_yaml_without_its_checkpoint_and_several_yamls(self, tmp_path: Path) -> None:
        file = write(tmp_path, msst_state(), MODEL)
        file.with_suffix(".yaml").rename(tmp_path / "config_a.yaml")
        (tmp_path / "config_b.yaml").write_text("{}")
        with pytest.raises(
            UserError, match=r"several YAML files beside it \(config_a.yaml, config_b.yaml\): name the one"
        ):
            Separator.from_pretrained(file, device="cpu")
        file.unlink()
        with pytest.raises(UserError, match=r"config_a.yaml` holds settings, and the checkpoint .* is not beside it"):
            Separator.from_pretrained(tmp_path / "config_a.yaml", device="cpu")
