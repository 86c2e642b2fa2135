"""The losses by hand, and crops that weigh the same however loud they are."""

import math
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from tiny_runs import tiny_run

from demixer.model.modules.spectrogram import Spectrogram
from demixer.model.separation_network import SeparationNetwork
from demixer.paths import CONF_DIR
from demixer.training.losses import (
    L1Loss,
    L1SNRLoss,
    MultiResolutionLoss,
    RelativeRMSLoss,
    SNRLoss,
    TruncatedLoss,
)
from demixer.training.losses.terms import Loss


class Halve(torch.nn.Module):
    """Estimates half of the mixture for one target."""

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        return spectrum.unsqueeze(1) / 2


NETWORK = SeparationNetwork(["vocals"], 16000, Spectrogram(256, 64), Halve())
MIXTURE = torch.randn(2, 2, 4000, generator=torch.Generator().manual_seed(0))
SILENCE = torch.zeros(2, 1, 2, 4000)


def test_loss_is_l1_of_real_imaginary_and_waveform() -> None:
    perfect = L1Loss()(NETWORK, MIXTURE, MIXTURE.unsqueeze(1) / 2)
    assert max(perfect.values()) < 1e-5
    silent = L1Loss()(NETWORK, MIXTURE, SILENCE)
    half = NETWORK.spectrogram(MIXTURE) / 2
    assert silent["loss_real"].item() == pytest.approx(half.real.abs().mean().item(), rel=1e-5)
    assert silent["loss_imaginary"].item() == pytest.approx(half.imag.abs().mean().item(), rel=1e-5)
    assert silent["loss_waveform"].item() == pytest.approx(MIXTURE.abs().mean().item() / 2, rel=1e-4)


def test_crops_of_equal_loudness_weigh_the_same() -> None:
    level = MIXTURE.square().mean((1, 2), keepdim=True).sqrt()
    gains = torch.tensor([1.0, 0.1]).reshape(2, 1, 1)
    loss = L1Loss(equal_loudness=True)
    at_reference = L1Loss()(NETWORK, 0.1 * MIXTURE / level, SILENCE)
    for name, term in loss(NETWORK, gains * MIXTURE, SILENCE).items():
        assert term.item() == pytest.approx(at_reference[name].item(), rel=1e-4)


def test_silence_is_not_blown_up() -> None:
    loss = L1Loss(equal_loudness=True)(NETWORK, 0 * MIXTURE, SILENCE + 1e-6)
    assert loss["loss_waveform"].item() == pytest.approx(1e-4, rel=1e-3)


def test_relative_rms_is_the_root_of_each_targets_error_over_its_mixture() -> None:
    targets = torch.stack([MIXTURE, MIXTURE / 2, -MIXTURE], dim=1)  # errors of 1/2, 0 and 3/2 of the mixture
    gains = torch.tensor([1.0, 0.1]).reshape(2, 1, 1)
    for gain in (1.0, gains):
        loss = RelativeRMSLoss()(NETWORK, gain * MIXTURE, torch.as_tensor(gain).unsqueeze(-1) * targets)
        assert loss["loss_rms"].item() == pytest.approx((0.5 + 0.001 + 1.5) / 3, rel=1e-4)


def test_relative_rms_has_a_slope_where_nothing_is_wrong_and_none_in_silence() -> None:
    mixture = torch.cat([MIXTURE, 0 * MIXTURE]).requires_grad_()
    RelativeRMSLoss()(NETWORK, mixture, mixture.detach().unsqueeze(1) / 2)["loss_rms"].backward()
    assert mixture.grad.isfinite().all()
    quiet = RelativeRMSLoss()(NETWORK, 0 * MIXTURE, SILENCE + 1e-4)
    assert quiet["loss_rms"].item() == pytest.approx(0.1, rel=1e-3)  # over the quietest mixture that counts, 1e-3


LOSSES = {
    "l1": L1Loss(),
    "equal_loudness": L1Loss(equal_loudness=True),
    "relative_rms": RelativeRMSLoss(),
    "snr": SNRLoss(),
    "l1_snr": L1SNRLoss(),
    "multi_resolution": MultiResolutionLoss(),
    "truncated": TruncatedLoss(RelativeRMSLoss()),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("case", ["silent targets", "all silent", "perfect"])
def test_every_loss_and_its_slope_are_finite(loss: Loss, autocast: bool, case: str) -> None:
    mixture = (0 * MIXTURE if case == "all silent" else MIXTURE.clone()).requires_grad_()
    targets = mixture.detach().unsqueeze(1) / 2 if case == "perfect" else SILENCE
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        terms = loss(NETWORK, mixture, targets)
        total = sum(terms.values())
    total.backward()
    assert total.dtype == torch.float32
    assert total.isfinite()
    assert mixture.grad.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_bf16_around_a_loss_changes_nothing_in_it(loss: Loss) -> None:
    plain = loss(NETWORK, MIXTURE, SILENCE)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = loss(NETWORK, MIXTURE, SILENCE)
    assert {name: term.item() for name, term in rounded.items()} == pytest.approx(
        {name: term.item() for name, term in plain.items()}, rel=1e-6
    )


@pytest.mark.parametrize("loss", [*LOSSES.values()][:-1], ids=[*LOSSES][:-1])
def test_a_loss_is_the_mean_of_its_terms_for_each_item_and_target(loss: Loss) -> None:
    targets = torch.stack([MIXTURE, MIXTURE / 3], dim=1)
    together = loss.terms(NETWORK, MIXTURE, targets)
    for name, mean in loss(NETWORK, MIXTURE, targets).items():
        alone = [
            loss(NETWORK, MIXTURE[b : b + 1], targets[b : b + 1, s : s + 1])[name].item()
            for b in range(2)
            for s in range(2)
        ]
        assert together[name].flatten().tolist() == pytest.approx(alone, rel=1e-5)
        assert mean.item() == pytest.approx(sum(alone) / 4, rel=1e-5)


@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_snr_is_in_decibels_at_any_loudness(gain: float) -> None:
    loss = SNRLoss(max_snr_db=200)
    half = loss(NETWORK, gain * MIXTURE, gain * MIXTURE.unsqueeze(1))  # the error is half of the target
    assert half["loss_snr"].item() == pytest.approx(20 * math.log10(0.5), abs=1e-3)
    perfect = SNRLoss(max_snr_db=30)(NETWORK, gain * MIXTURE, gain * MIXTURE.unsqueeze(1) / 2)
    assert perfect["loss_snr"].item() == pytest.approx(10 * math.log10(0.001 / 0.251), abs=1e-3)
    silent = SNRLoss(max_snr_db=30)(NETWORK, gain * MIXTURE, SILENCE)  # a quarter of the power where none should be
    assert silent["loss_snr"].item() == pytest.approx(10 * math.log10(0.251 / 0.001), abs=1e-3)


def test_l1_snr_is_the_ratio_of_mean_magnitudes_in_each_of_three_views() -> None:
    terms = L1SNRLoss(epsilon=1e-9)(NETWORK, MIXTURE, MIXTURE.unsqueeze(1))
    assert {*terms} == {"loss_waveform", "loss_real", "loss_imaginary"}
    assert [term.item() for term in terms.values()] == pytest.approx([10 * math.log10(0.5)] * 3, abs=1e-3)


def test_l1_snr_of_a_silent_target_is_over_epsilon() -> None:
    terms = L1SNRLoss()(NETWORK, MIXTURE, SILENCE)
    mean = MIXTURE.abs().mean((1, 2)) / 2
    expected = (10 * ((mean + 1e-3) / 1e-3).log10()).mean().item()
    assert terms["loss_waveform"].item() == pytest.approx(expected, rel=1e-4)
    spectra = NETWORK.spectrogram(MIXTURE).real.abs().mean((1, 2, 3)) / 2 / NETWORK.spectrogram.window.norm()
    expected = (10 * ((spectra + 1e-3) / 1e-3).log10()).mean().item()
    assert terms["loss_real"].item() == pytest.approx(expected, rel=1e-4)


def test_multi_resolution_is_a_mean_magnitude_at_every_window() -> None:
    terms = MultiResolutionLoss(windows_samples=(512, 64), hop_samples=100)(NETWORK, MIXTURE, SILENCE)
    assert {*terms} == {"loss_waveform", "loss_window_512", "loss_window_64"}
    assert terms["loss_waveform"].item() == pytest.approx(MIXTURE.abs().mean().item() / 2, rel=1e-4)
    inside = MIXTURE.flatten(0, 1).unfold(-1, 64, 100) * torch.hann_window(64) / 2  # frames that do not reach an end
    expected = torch.fft.rfft(inside).abs().mean().item()
    assert terms["loss_window_64"].item() == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("samples", [1, 146, 4096])
def test_multi_resolution_takes_any_length(samples: int) -> None:
    network = lambda mixture: mixture.unsqueeze(1)  # noqa: E731  (a network of one target)
    terms = MultiResolutionLoss()(network, torch.ones(1, 2, samples), torch.zeros(1, 1, 2, samples))
    assert sum(terms.values()).isfinite()


def test_multi_resolution_of_equal_loudness() -> None:
    loss = MultiResolutionLoss(equal_loudness=True)
    loud, quiet = (loss(NETWORK, gain * MIXTURE, SILENCE) for gain in (1.0, 0.1))
    assert quiet["loss_window_256"].item() == pytest.approx(loud["loss_window_256"].item(), rel=1e-4)


class Given(Loss):
    """A loss whose terms are what the mixture says: (B, S, 1) → (B, S)."""

    def terms(self, network: object, mixture: torch.Tensor, targets: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"loss_one": mixture[..., 0], "loss_two": mixture[..., 0]}


def given(*losses: list[float]) -> torch.Tensor:
    return torch.tensor(losses).unsqueeze(-1)


def test_what_is_above_a_targets_quantile_is_left_out() -> None:
    loss = TruncatedLoss(Given(), quantile=0.5, memory=4)
    for first in (given([1.0, 10.0], [3.0, 30.0]), given([2.0, 20.0], [4.0, 40.0])):  # not yet known: all are kept
        assert loss(None, first, None)["loss_one"].item() == pytest.approx(first.mean().item())
    # twice these terms are remembered; the medians are 2.5 and 25 of one term
    terms = loss(None, given([2.0, 30.0], [9.0, 24.0]).requires_grad_(), None)
    assert [term.item() for term in terms.values()] == [13.0, 13.0]  # of 2 and 24
    # the window has moved on: 2, 4, 2, 9 and 20, 40, 30, 24, with medians 3 and 27
    assert loss(None, given([3.0, 28.0]), None)["loss_one"].item() == 3.0


def test_what_is_left_out_has_no_slope_and_nothing_kept_is_no_loss() -> None:
    loss = TruncatedLoss(Given(), quantile=1.0, memory=1)
    loss(None, given([1.0]), None)
    mixture = given([2.0]).requires_grad_()
    terms = loss(None, mixture, None)
    terms["loss_one"].backward()
    assert terms["loss_one"].item() == 0
    assert mixture.grad.item() == 0


def test_a_broken_network_is_not_left_out() -> None:
    loss = TruncatedLoss(Given(), memory=1)
    loss(None, given([1.0]), None)
    for _ in range(2):
        assert loss(None, given([math.nan]), None)["loss_one"].isnan()


def test_a_broken_item_does_not_end_the_truncation() -> None:
    loss = TruncatedLoss(Given(), quantile=0.5, memory=3)
    loss(None, given([1.0], [2.0], [math.nan]), None)
    assert loss(None, given([1.5], [9.0]), None)["loss_one"].item() == 1.5  # the median is 2: of 1, 2 and the worst


def test_the_memory_is_kept_in_the_state() -> None:
    loss, other = TruncatedLoss(Given(), memory=2), TruncatedLoss(Given(), memory=2)
    other.load_state_dict(loss.state_dict())
    loss(None, given([1.0], [2.0]), None)
    other.load_state_dict(loss.state_dict())
    assert other(None, given([3.0], [0.5]), None)["loss_one"].item() == 0.5


@pytest.mark.parametrize(
    ("wrong", "message"), [({"quantile": 0.0}, "`loss.quantile` .=0.0"), ({"memory": 0}, "memory")]
)
def test_a_truncation_that_cannot_be_is_refused(wrong: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TruncatedLoss(Given(), **wrong)


def test_any_loss_can_be_truncated() -> None:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        own = compose("config", ["loss=truncated", "run_dir=."])
        other = compose("config", ["loss=truncated", "loss@loss.loss=relative_rms", "run_dir=."])
    assert instantiate(own.loss).loss == L1Loss(equal_loudness=True)
    assert instantiate(other.loss).loss == RelativeRMSLoss()
    assert instantiate(other.loss).quantile == 0.95


@pytest.mark.parametrize("loss", ["snr", "l1_snr", "multi_resolution", "truncated"])
def test_a_run_with_each(loss: str, tmp_path: Path, comb_musdb: Path) -> None:
    options = [f"loss={loss}", f"data.roots=[{comb_musdb}]", "augmentations=mastered", "trainer.precision=bf16-mixed"]
    metrics = tiny_run(tmp_path, *options, "trainer.max_steps=4", "data.samples_per_epoch=8")
    assert metrics["val/usdr"].isfinite()
    assert metrics["train/loss"].isfinite()


def test_a_truncated_run_goes_on_with_what_it_remembers(tmp_path: Path, comb_musdb: Path) -> None:
    options = [
        "loss=truncated",
        "loss.memory=4",
        f"data.roots=[{comb_musdb}]",
        "data.samples_per_epoch=4",
        "callbacks.early_stopping=null",
    ]
    whole = tiny_run(tmp_path / "whole", *options, "trainer.max_epochs=3")
    tiny_run(tmp_path / "parts", *options, "trainer.max_epochs=1")
    last = tmp_path / "parts" / "weights" / "last.ckpt"
    state = torch.load(last, weights_only=True)["current_model_state"]
    assert state["_loss._extra_state"].shape == (4, 4)
    resumed = tiny_run(tmp_path / "parts", *options, "trainer.max_epochs=3", f"ckpt_path={last}")
    assert resumed["val/usdr"] == whole["val/usdr"]
