"""The losses by hand, and crops that weigh the same however loud they are."""

import pytest
import torch

from demixer.model.modules.spectrogram import Spectrogram
from demixer.model.separation_network import SeparationNetwork
from demixer.training.losses import L1Loss, RelativeRMSLoss


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
