"""Training runs in this process: what ``train.py`` does, without the seconds that a child process takes to begin."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import demixer.training.config  # noqa: F401  (registers the resolvers)
from demixer.paths import CONF_DIR
from demixer.training.train import train

# A network and crops so small that a step takes milliseconds.
TINY = [
    "target=all",
    "target.bands_hz=[[1000,200],[4000,1000],[16000,4000]]",
    "model=bandsplitrnn_small",
    "model.features=16",
    "model.repeats=1",
    "featurizer.hop_samples=1024",
    "scheduler=step",
    "augmentations=none",
    "data.sad=false",
    "data.preload=true",
    "data.num_workers=0",
    "data.crop_seconds=0.5",
    "trainer.accelerator=cpu",
    "trainer.log_every_n_steps=1",
    "callbacks.listen.songs=1",
]
NETWORK = ("model", "featurizer", "target.bands")
QUIET = [
    "callbacks.progress_bar=null",
    "callbacks.listen.songs=0",
    "trainer.devices=1",
    "+trainer.enable_progress_bar=false",
]


def scalars(run_dir: Path, tag: str) -> list[float]:
    accumulator = EventAccumulator(str(run_dir / "tb_logs"))
    accumulator.Reload()
    return [event.value for event in accumulator.Scalars(tag)]


def composed(run_dir: Path, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return compose("config", [f"run_dir={run_dir}", *overrides])


def tiny_run(run_dir: Path, *overrides: str) -> dict[str, Any]:
    """Train, and return the last validation's metrics."""
    tiny = [one for one in TINY if not one.startswith(NETWORK)] if begins_with_a_network(overrides) else TINY
    return _train(run_dir, [*tiny, *QUIET, *overrides])


def begins_with_a_network(overrides: Iterable[str]) -> bool:
    """Whether a run has a trained one's sizes, beside which no others may be asked for."""
    return any(one.startswith(("init=", "teacher=")) for one in overrides)


def go_on(run_dir: Path, *overrides: str, ckpt_path: str | Path = "last") -> dict[str, Any]:
    """Go on with a run, without any override but these."""
    return _train(run_dir, [f"ckpt_path='{ckpt_path}'", *overrides])


def _train(run_dir: Path, given: list[str]) -> dict[str, Any]:
    cfg = composed(run_dir, *given)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # Lightning 2.6 with torch 2.11
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*exists and is not empty.*")
        warnings.filterwarnings("ignore", "The dirpath has changed.*")  # of a run that was moved
        return train(cfg, given)
