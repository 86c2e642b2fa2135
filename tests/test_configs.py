"""Every file in conf/ composes, instantiates, and says how it is used."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

import demixer.training.config  # noqa: F401  (registers the resolvers)
from demixer.data.datamodule import MusicDataModule
from demixer.model.building import build_network
from demixer.paths import CONF_DIR
from demixer.training.recipe import scaled_learning_rate, set_matmul_precision, warn_of_batch
from demixer.training.runs import model_hparams
from demixer.training.validation_times import unvalidated_steps

GROUPS = sorted(file for file in CONF_DIR.glob("*/*.yaml") if file.parent.name not in ("sad", "experiment"))
EXPERIMENTS = sorted((CONF_DIR / "experiment").glob("*.yaml"))


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("config", [*overrides, "run_dir=/nowhere", "data.roots=[/nowhere]"])


@pytest.mark.parametrize("file", GROUPS, ids=lambda file: f"{file.parent.name}={file.stem}")
def test_every_choice_composes_and_instantiates(file: Path) -> None:
    small = ["model.repeats=1", "trainer.max_steps=10", "trainer.accelerator=cpu", "trainer.devices=1"]
    cfg = composed(f"{file.parent.name}={file.stem}", *small)
    OmegaConf.resolve(cfg)
    network = build_network(model_hparams(cfg))
    assert list(network.targets) == list(cfg.target.targets)
    assert isinstance(instantiate(cfg.data), MusicDataModule)
    optimizer = instantiate(cfg.optimizer)(network.named_parameters())
    schedule = instantiate(cfg.scheduler).schedule(optimizer)
    assert schedule.get_last_lr()[0] <= cfg.optimizer.lr
    assert all(callback is not None for callback in instantiate(cfg.callbacks).values())
    assert instantiate(cfg.trainer)(logger=False).gradient_clip_val == 5.0


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_every_experiment_composes_and_opens_with_its_command(file: Path) -> None:
    head = "".join(line for line in file.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert f"python train.py experiment={file.stem}" in head
    cfg = composed(f"experiment={file.stem}", "model.repeats=1")
    OmegaConf.resolve(cfg)
    build_network(model_hparams(cfg))
    instantiate(cfg.data)


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_a_longer_schedule_of_steps_is_not_cut_off_by_epochs(file: Path) -> None:
    cfg = composed(f"experiment={file.stem}", "trainer.max_steps=30000")
    if cfg.scheduler.interval == "step":
        assert cfg.trainer.max_epochs == -1


def test_the_papers_experiment_is_exactly_the_paper() -> None:
    cfg = composed("experiment=paper", "target=vocals")
    assert cfg.callbacks.ema is None
    assert not any("verage" in str(callback) for callback in cfg.callbacks.values())
    assert cfg.trainer.devices * cfg.data.batch_size * cfg.trainer.accumulate_grad_batches == 16
    assert cfg.trainer.strategy._target_.endswith("DDPStrategy")
    assert (cfg.audio_params.window_seconds, cfg.audio_params.hop_seconds) == (3.0, 0.5)
    assert (cfg.learning_rate.rule, cfg.trainer.precision, cfg.init) == ("none", "32-true", None)


def test_one_gpu_has_the_papers_batch_and_schedule() -> None:
    paper, one = composed("experiment=paper"), composed("experiment=one_gpu")
    steps = paper.data.samples_per_epoch // 16
    assert one.trainer.devices * one.data.batch_size * one.trainer.accumulate_grad_batches == 16
    assert one.scheduler.interval == "step"
    assert one.scheduler.schedule.gamma == paper.scheduler.schedule.gamma
    assert one.scheduler.schedule.step_size == paper.scheduler.schedule.step_size * steps
    assert one.trainer.max_steps == paper.trainer.max_epochs * steps
    assert one.trainer.check_val_every_n_epoch is None
    interval = one.trainer.val_check_interval // one.trainer.accumulate_grad_batches
    assert interval == 2000
    assert one.callbacks.early_stopping.patience * interval == paper.callbacks.early_stopping.patience * steps
    assert unvalidated_steps(one.trainer, steps * one.trainer.accumulate_grad_batches) == 0


@pytest.mark.parametrize("experiment", ["paper", "default"])
def test_the_default_and_the_experiment_have_the_papers_recipe(experiment: str) -> None:
    """Luo & Yu 2022, sections III and IV, as design.md lists it."""
    cfg = composed("target=vocals", *([f"experiment={experiment}"] if experiment != "default" else []))
    OmegaConf.resolve(cfg)
    assert (cfg.featurizer.n_fft, cfg.featurizer.hop_samples, cfg.featurizer.sample_rate_hz) == (2048, 512, 44100)
    assert (cfg.model.features, cfg.model.repeats, cfg.model.rnn, cfg.model.rnn_factor) == (128, 12, "lstm", 2)
    assert cfg.model.features * cfg.model.mask.hidden_factor == 512
    assert (cfg.model.tac, cfg.model.attention) == (None, None)
    assert (cfg.optimizer._target_, cfg.optimizer.lr) == ("torch.optim.Adam", 1e-3)
    assert (cfg.scheduler.schedule.step_size, cfg.scheduler.schedule.gamma, cfg.scheduler.interval) == (
        2,
        0.98,
        "epoch",
    )
    assert (cfg.trainer.gradient_clip_val, cfg.trainer.max_epochs) == (5.0, 100)
    assert (cfg.callbacks.early_stopping.patience, cfg.data.crop_seconds, cfg.data.batch_size) == (10, 3.0, 2)
    assert cfg.data.samples_per_epoch == 10_000 * 8 * 2
    gain, dropout = cfg.augmentations.mix
    assert (gain.min_gain_db, gain.max_gain_db, dropout.probability) == (-10, 10, 0.1)


@pytest.mark.parametrize(("rule", "lr"), [("none", 1e-3), ("linear", 1.25e-4), ("sqrt", 1e-3 / 8**0.5)])
def test_learning_rate_rules(rule: str, lr: float) -> None:
    assert scaled_learning_rate(1e-3, 2, rule, reference_batch_size=16) == pytest.approx(lr)


@pytest.mark.parametrize(
    ("global_batch", "rule", "warned"), [(16, "none", False), (4, "none", True), (4, "sqrt", False), (32, "none", True)]
)
def test_another_batch_without_a_rule_is_warned_of(
    global_batch: int, rule: str, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    warn_of_batch(global_batch, rule, 16)
    assert warned == (f"for a global batch of 16, this one is {global_batch}: set trainer.accumulate" in caplog.text)


def test_the_shipped_recipe_is_for_its_own_batch() -> None:
    cfg = composed("experiment=shipped_tuned")
    assert cfg.learning_rate.reference_batch_size == cfg.data.batch_size == 4


def test_matmuls_are_as_precise_as_is_asked_for() -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        for name, recurrent in (("high", True), ("highest", False)):
            set_matmul_precision(name)
            assert (torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32) == (name, recurrent)
        with pytest.raises(ValueError, match=r"`matmul_precision` .='tf32'. must be one of highest, high, medium"):
            set_matmul_precision("tf32")
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(ValueError, match=r"'cubic'.*linear.*none.*sqrt"):
        scaled_learning_rate(1e-3, 2, "cubic", 16)
