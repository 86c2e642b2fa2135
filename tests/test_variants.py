"""The variants are config choices on the same modules, and come out at the sizes that were published."""

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from demixer.errors import UserError
from demixer.model.building import build_network
from demixer.model.separation_network import SeparationNetwork
from demixer.paths import CONF_DIR
from demixer.training.runs import RUN_ONLY


def network(*overrides: str) -> SeparationNetwork:
    """What ``train.py`` with these overrides would train."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("config", overrides=list(overrides))
    parts = {name: OmegaConf.to_container(cfg[name]) for name in ("model", "featurizer")}
    for setting in RUN_ONLY:
        parts["model"].pop(setting)
    return build_network({"targets": cfg.target.targets, "bands_hz": cfg.target.bands_hz, **parts})


def millions(net: SeparationNetwork) -> float:
    return sum(p.numel() for p in net.parameters()) / 1e6


@pytest.mark.parametrize(
    ("overrides", "published_millions"),
    [
        (("model=obsrnn", "target=vocals"), 40.78),
        (("model=obsrnn", "target=bass"), 37.07),
        (("model=obsrnn", "target=drums"), 45.49),
        (("model=obsrnn", "target=other"), 40.78),
        (("model=obsrnn", "target=all"), 108.73),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_full_size_networks_have_the_published_number_of_parameters(
    overrides: tuple, published_millions: float
) -> None:
    with torch.device("meta"):
        assert millions(network(*overrides)) == pytest.approx(
            published_millions, abs=0.005 if published_millions != 72.2 else 0.05
        )


@pytest.mark.parametrize(
    ("overrides", "expected_millions"),
    [
        (("model=bs_roformer",), 72.17),  # published: 72.2
        (("model=bs_roformer", "model.repeats=12"), 93.48),
        (("model=mel_band_roformer", "model.mask.hidden_layers=1"), 84.19),
        (("model=mel_band_roformer",), 225.84),
        (("model=mel_band_roformer", "model.head_width=64"), 228.20),  # circulates
        (("model=bs_roformer", "model.features=512", "model.repeats=12", "model.head_width=64"), 159.76),  # circulates
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_roformers_have_the_number_of_parameters_in_the_readme(overrides: tuple, expected_millions: float) -> None:
    with torch.device("meta"):
        assert millions(network("target=vocals", *overrides)) == pytest.approx(expected_millions, abs=0.005)


@pytest.mark.parametrize("model", ["bandsplitrnn_small", "obsrnn_small"])
@pytest.mark.parametrize("target", ["vocals", "all"])
@pytest.mark.parametrize("rnn", ["lstm", "gru"])
def test_small_versions_run(model: str, target: str, rnn: str) -> None:
    small = ("model.features=8", "model.repeats=1", f"model.rnn={rnn}")
    net = network(f"model={model}", f"target={target}", *small).eval()
    with torch.inference_mode():
        estimates = net(torch.randn(1, 2, 3000))
    assert estimates.shape == (1, 4 if target == "all" else 1, 2, 3000)
    assert torch.isfinite(estimates).all()


def test_a_gru_has_three_quarters_of_the_recurrent_parameters() -> None:
    with torch.device("meta"):
        sizes = {
            kind: sum(p.numel() for name, p in network(f"model.rnn={kind}").named_parameters() if ".rnn." in name)
            for kind in ("lstm", "gru")
        }
    assert 4 * sizes["gru"] == 3 * sizes["lstm"]


def test_one_encoder_serves_every_target() -> None:
    with torch.device("meta"):
        one, four = network("target=all", "target.targets=[vocals]"), network("target=all")
    shared = sum(p.numel() for name, p in four.named_parameters() if ".estimators." not in name)
    assert sum(p.numel() for p in four.parameters()) - shared == 4 * (sum(p.numel() for p in one.parameters()) - shared)


def test_the_mask_size_factor_and_the_second_layer_widen_only_the_mask() -> None:
    def mask(*overrides: str) -> int:
        return sum(p.numel() for name, p in network(*overrides).named_parameters() if ".mask." in name)

    with torch.device("meta"):
        hidden, bands = 2 * 128, 41
        assert mask("model.mask.hidden_factor=2", "model.mask.hidden_layers=2") - mask(
            "model.mask.hidden_factor=2"
        ) == bands * (hidden * hidden + hidden)


def test_bands_may_be_given_in_bins() -> None:
    hparams = {"targets": ["x"], "featurizer": {"n_fft": 16, "sample_rate_hz": 8000, "hop_samples": 4}}
    model = {"features": 4, "repeats": 1}
    net = build_network({**hparams, "bands_bins": [2, 7], "model": model})
    assert net.bandsplitrnn.split.table.widths == (2, 7)
    with pytest.raises(UserError, match="`bands_bins` add up to 8 bins instead of 9"):
        build_network({**hparams, "bands_bins": [2, 6], "model": model})
    with pytest.raises(UserError, match=r"`model.rnn` .='conv'. must be one of"):
        build_network({**hparams, "bands_bins": [9], "model": {**model, "rnn": "conv"}})


def test_checkpoints_in_the_present_layout_stay_loadable() -> None:
    """The names and shapes that trained models have; a change here makes them unreadable."""
    hparams = {"targets": ["x"], "featurizer": {"n_fft": 16, "sample_rate_hz": 8000, "hop_samples": 4}}
    model = {"features": 4, "repeats": 1, "tac": {}, "attention": {"width": 2}, "mask": {"hidden_layers": 2}}
    state = build_network({**hparams, "bands_bins": [2, 2, 5], "model": model}).state_dict()
    shapes = {key: tuple(value.shape) for key, value in state.items() if ".rnn." not in key}
    assert shapes["bandsplitrnn.split.projections.0.norm_weight"] == (2, 4)
    assert shapes["bandsplitrnn.split.projections.1.linear.weight"] == (1, 4, 10)
    assert shapes["bandsplitrnn.sequence.0.time.norm.weight"] == (4,)
    assert shapes["bandsplitrnn.sequence.0.tac.transform.weight"] == (12, 4)
    assert shapes["bandsplitrnn.sequence.0.attention.query.norm_weight"] == (3, 2, 2)
    assert shapes["bandsplitrnn.mask.estimators.0.first.linear.weight"] == (3, 16, 4)
    assert shapes["bandsplitrnn.mask.estimators.0.hidden.0.weight"] == (3, 16, 16)
    assert shapes["bandsplitrnn.mask.estimators.0.outputs.1.bias"] == (1, 20)
    assert len(state) == 69
