"""The moving average of the weights: of parameters only, validated and saved, and going on where it was."""

import shutil
from pathlib import Path

import pytest
import torch
from test_before_the_package import OLD_DIR
from tiny_runs import tiny_run
from torch import nn

from demixer.evaluation.metrics import finite_mean
from demixer.evaluation.scoring import measure, songs_of
from demixer.separation.separator import Separator
from demixer.training.average import MovingAverage

# Widths that come again between others, so that the bands' order is a buffer of indices.
SCATTERED = "target.bands_hz=[[1000,200],[4000,1000],[5000,200],[16000,1000]]"
SHORT = ["data.samples_per_epoch=12", "data.batch_size=2", "trainer.max_epochs=1", "data.max_valid_songs=1"]


class FakeTrainer:
    global_step = 0


def stepped(average: MovingAverage, trainer: FakeTrainer, module: nn.Module) -> None:
    trainer.global_step += 1
    average.on_train_batch_end(trainer, module)


@pytest.fixture(scope="module")
def without_average(comb_musdb: Path, tmp_path_factory: pytest.TempPathFactory) -> float:
    """The uSDR of the network that learns nothing."""
    run = tmp_path_factory.mktemp("plain") / "run"
    roots = f"data.roots=[{comb_musdb}]"
    return tiny_run(run, *SHORT, SCATTERED, roots, "optimizer.lr=0", "callbacks.ema=null")["val/usdr"].item()


@pytest.mark.parametrize("decay", [0.5, 0.997, 0.9999])
def test_the_average_of_what_does_not_change_is_that(
    decay: float, without_average: float, comb_musdb: Path, tmp_path: Path
) -> None:
    run, roots = tmp_path / "run", f"data.roots=[{comb_musdb}]"
    metrics = tiny_run(run, *SHORT, SCATTERED, roots, "optimizer.lr=0", f"callbacks.ema.decay={decay}")
    assert metrics["val/usdr"].item() == without_average
    scores = measure(Separator.from_pretrained(run, "cpu", "fp32"), songs_of([comb_musdb], "train", "valid", run)[:1])
    assert finite_mean(score.usdr_db for score in scores) == pytest.approx(without_average, abs=1e-5)


def test_it_follows_the_weights_after_the_first_step() -> None:
    module, average, trainer = nn.Linear(1, 1, bias=False), MovingAverage(0.75), FakeTrainer()
    module.weight.data.fill_(100.0)  # before any step
    average.on_fit_start(trainer, module)
    for value in (1.0, 2.0, 4.0):
        module.weight.data.fill_(value)
        stepped(average, trainer, module)
        average.on_train_batch_end(trainer, module)  # of a batch whose gradients are only accumulated
    average.on_validation_epoch_start(trainer, module)
    assert module.weight.item() == 1.9375  # 1 → 0.75 · 1 + 0.25 · 2 → 0.75 · 1.25 + 0.25 · 4
    average.on_validation_epoch_end(trainer, module)
    assert module.weight.item() == 4.0


def test_buffers_are_not_averaged() -> None:
    module, average, trainer = nn.Linear(1, 1), MovingAverage(0.5), FakeTrainer()
    module.register_buffer("order", torch.tensor([3, 1, 2]))
    average.on_fit_start(trainer, module)
    for _ in range(4):
        stepped(average, trainer, module)
    average.on_validation_epoch_start(trainer, module)
    assert module.order.tolist() == [3, 1, 2]


def test_what_is_saved_is_the_average_and_beside_it_the_weights() -> None:
    module, average, trainer = nn.Linear(1, 1, bias=False), MovingAverage(0.5), FakeTrainer()
    module.register_buffer("order", torch.tensor([3, 1, 2]))
    average.on_fit_start(trainer, module)
    for value in (1.0, 2.0):
        module.weight.data.fill_(value)
        stepped(average, trainer, module)
    checkpoint = {"state_dict": module.state_dict()}
    average.on_save_checkpoint(trainer, module, checkpoint)
    assert checkpoint["state_dict"].keys() == checkpoint["current_model_state"].keys() == {"weight", "order"}
    assert checkpoint["state_dict"]["weight"].item() == 1.5
    assert checkpoint["current_model_state"]["weight"].item() == 2.0
    assert checkpoint["averaging_state"] == {"n_averaged": torch.tensor(2)}


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_a_decay_that_is_none_is_named(decay: float) -> None:
    with pytest.raises(ValueError, match=rf"`decay` .={decay}. of the moving average must be in 0…1"):
        MovingAverage(decay)


@pytest.fixture
def old_run(tmp_path: Path, comb_musdb: Path) -> list[str]:
    """The settings of a run that Lightning's own callback averaged, which goes on for an epoch of two steps."""
    run = tmp_path / "run"
    shutil.copytree(OLD_DIR / "run", run)
    target, featurizer = "target=bass", "featurizer.n_fft=512"
    sizes = ["model.features=4", "model.rnn_factor=1", "model.mask.hidden_factor=1", "featurizer.hop_samples=256"]
    bands = "target.bands_hz=[[1000,250],[4000,1500],[16000,6000]]"
    short = ["data.samples_per_epoch=4", "data.batch_size=2", "trainer.max_epochs=3", "ckpt_path=last"]
    return [target, featurizer, *sizes, bands, f"data.roots=[{comb_musdb}]", *short]


def last_of(run: Path) -> dict:
    return torch.load(run / "weights" / "last.ckpt", weights_only=True)


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_an_old_checkpoint_goes_on_with_its_average(old_run: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    before = last_of(run)
    assert "EMAWeightAveraging" in before["callbacks"]
    tiny_run(run, *old_run)
    after = last_of(run)
    assert after["averaging_state"] == {"n_averaged": torch.tensor(6)}
    assert after["callbacks"]["EMAWeightAveraging"] == {"latest_update_step": 6}
    for name, average in before["state_dict"].items():
        weights, moved = after["current_model_state"][name], (after["state_dict"][name] - average).abs()
        assert moved.max() <= 0.0021 * (weights - average).abs().max() + 1e-6  # two steps of a thousandth each
        assert (weights - before["current_model_state"][name]).abs().max() < 2.1e-3  # two steps of Adam at 1e-3


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.filterwarnings("ignore:Be aware that when using `ckpt_path`, callbacks used to create the checkpoint")
def test_without_an_average_an_old_run_goes_on_with_its_weights(old_run: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    before = last_of(run)["current_model_state"]
    tiny_run(run, *old_run, "callbacks.ema=null")
    after = last_of(run)
    assert "current_model_state" not in after
    for name, weights in before.items():
        assert (after["state_dict"][name] - weights).abs().max() < 2.1e-3  # two steps of Adam at 1e-3
