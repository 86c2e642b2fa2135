"""The paper's loss term by term, and crops that weigh the same however loud they are."""

import pytest
import torch

from model.losses import L1Loss
from model.modules.spectrogram import Spectrogram
from model.separation_network import SeparationNetwork


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
