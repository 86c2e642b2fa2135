"""The loss, what happens to a loss that is no number, and checkpoints that are whole or absent."""

import functools
from pathlib import Path

import pytest
import torch

from model.modules.spectrogram import Spectrogram
from model.pl_checkpoint_io import AtomicCheckpointIO
from model.pl_model import SeparationModule, separation_loss
from model.separation_network import SeparationNetwork, build_network

HPARAMS = {
    "targets": ["vocals", "drums"],
    "bands_hz": [[4000, 1000]],
    "featurizer": {"n_fft": 256, "hop_samples": 64, "sample_rate_hz": 16000},
    "model": {"features": 4, "repeats": 1},
}


class Halve(torch.nn.Module):
    """Estimates half of the mixture for one target."""

    def forward(self, spectrum: torch.Tensor) -> torch.Tensor:
        return spectrum.unsqueeze(1) / 2


def test_loss_is_l1_of_real_imaginary_and_waveform() -> None:
    spectrogram = Spectrogram(256, 64)
    network = SeparationNetwork(["vocals"], 16000, spectrogram, Halve())
    mixture = torch.randn(2, 2, 4000, generator=torch.Generator().manual_seed(0))
    perfect = separation_loss(network, mixture, mixture.unsqueeze(1) / 2)
    assert max(perfect.values()) < 1e-5
    silent = separation_loss(network, mixture, torch.zeros(2, 1, 2, 4000))
    half = spectrogram(mixture) / 2
    assert silent["loss_real"].item() == pytest.approx(half.real.abs().mean().item(), rel=1e-5)
    assert silent["loss_imaginary"].item() == pytest.approx(half.imag.abs().mean().item(), rel=1e-5)
    assert silent["loss_waveform"].item() == pytest.approx(mixture.abs().mean().item() / 2, rel=1e-4)


def module() -> SeparationModule:
    optimizer = functools.partial(torch.optim.Adam, lr=1e-3)
    scheduler = functools.partial(torch.optim.lr_scheduler.StepLR, step_size=2)
    return SeparationModule(build_network(HPARAMS), optimizer, scheduler, "epoch", lambda mixture: {})


def test_a_loss_that_is_no_number_names_the_songs() -> None:
    batch = {
        "mixture": torch.full((1, 2, 4000), float("nan")),
        "targets": torch.zeros(1, 2, 2, 4000),
        "songs": [["Amber", "Birch"]],
    }
    with pytest.raises(ValueError, match=r"the loss is nan in step 0, on the songs .*Amber.*Birch"):
        module().training_step(batch, 0)


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint_io, path = AtomicCheckpointIO(), tmp_path / "weights" / "last.ckpt"
    checkpoint_io.save_checkpoint({"step": 1}, path)

    def full_disk(content: object, file: Path) -> None:
        Path(file).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        with pytest.raises(ValueError, match=r"last\.ckpt.*No space left on device.*ckpt_path=last"):
            checkpoint_io.save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": None}, "the model's settings"),
        ({"featurizer": {"n_fft": 256, "hop_samples": 999, "sample_rate_hz": 16000}}, "`hop_samples` .=999."),
        ({"model": {"feature": 4}}, "feature"),
        ({"bands_hz": [[4000, 7]]}, "`bands_hz`"),
    ],
)
def test_settings_that_describe_no_network_are_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network({**HPARAMS, **changes})
