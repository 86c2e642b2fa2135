"""Every file in conf/ composes, instantiates, and says how it is used."""

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

import demixer.training.config  # noqa: F401  (registers the resolvers)
from demixer.data.datamodule import MusicDataModule
from demixer.model.building import build_network
from demixer.paths import CONF_DIR
from demixer.training.module import scaled_learning_rate
from demixer.training.runs import model_hparams

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


def test_the_default_is_the_papers_recipe() -> None:
    """Luo & Yu 2022, sections III and IV, as design.md lists it."""
    cfg = composed("target=vocals")
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


def test_an_unknown_rule_is_named() -> None:
    with pytest.raises(ValueError, match=r"'cubic'.*linear.*none.*sqrt"):
        scaled_learning_rate(1e-3, 2, "cubic", 16)
