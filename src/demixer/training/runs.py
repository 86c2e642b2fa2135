"""A training run's folder: what it is described by, and how a run goes on in it."""

import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from demixer import __version__
from demixer.checkpoints.hparams import read_hparams, write_hparams
from demixer.checkpoints.locating import HPARAMS_NAME, LAST_NAME, RUN_WEIGHTS_DIR
from demixer.errors import UserError
from demixer.paths import IN_CLONE, PROJECT_DIR

PACKAGES = ("torch", "torchaudio", "pytorch-lightning", "hydra-core", "omegaconf", "numpy", "soundfile", "tensorboard")
RUN_ONLY = ("compile", "checkpointing")  # settings of conf/model that change how it is computed, not what


def model_hparams(cfg: DictConfig) -> dict[str, Any]:
    """What is saved with the weights: all that rebuilding the network takes, as plain data."""
    parts = {name: OmegaConf.to_container(cfg[name], resolve=True) for name in ("featurizer", "model", "audio_params")}
    for setting in RUN_ONLY:
        parts["model"].pop(setting, None)
    target = OmegaConf.to_container(cfg.target, resolve=True)
    bands = {name: target[name] for name in ("bands_hz", "bands_bins") if name in target}
    return {"targets": list(target["targets"]), **bands, **parts}


def open_run(cfg: DictConfig) -> dict[str, Any]:
    """Write ``hparams.yaml`` into the run's folder and return its content.

    Raises:
        UserError: the run that is to go on has another network.
    """
    hparams, folder = model_hparams(cfg), Path(cfg.run_dir)
    if cfg.ckpt_path is not None and (folder / HPARAMS_NAME).is_file():
        before = read_hparams(folder)
        changed = [name for name in hparams if name != "audio_params" and hparams[name] != before.get(name)]
        if changed:
            raise UserError(
                f"`{folder}` was trained with other settings of {changed}: give the ones of its hydra/config.yaml"
            )
    write_hparams(folder, hparams)
    return hparams


def resume_path(ckpt_path: str | None, run_dir: Path) -> str | None:
    """The checkpoint to go on from; "last" is the run's own last one.

    Raises:
        UserError: it does not exist.
    """
    if ckpt_path is None:
        return None
    path = run_dir / RUN_WEIGHTS_DIR / LAST_NAME if ckpt_path == "last" else Path(ckpt_path)
    if not path.is_file():
        hint = "; there is no run to go on with, start one without ckpt_path" if ckpt_path == "last" else ""
        raise UserError(f"`ckpt_path` (={ckpt_path}): there is no file `{path}`{hint}")
    return str(path)


def describe_run(cfg: DictConfig, network: torch.nn.Module, global_batch: int) -> str:
    """The head of ``train.log``: configuration, versions, commit, parameters and learning rate."""
    parameters = sum(p.numel() for p in network.parameters())
    versions = [f"demixer {__version__}", f"python {platform.python_version()}"]
    versions += [f"{name} {version(name)}" for name in PACKAGES]
    return "\n".join(
        [
            "configuration:",
            OmegaConf.to_yaml(cfg),
            ", ".join(versions),
            f"commit {git_commit()}",
            f"{parameters:,} parameters",
            f"learning rate {cfg.optimizer.lr:g} for a global batch of {global_batch} (rule: {cfg.learning_rate.rule})",
        ]
    )


def unvalidated_steps(trainer: Mapping[str, Any], steps_per_epoch: int) -> int:
    """How many steps a run makes after its last validation: they count for nothing, since the best validated is used.

    Args:
        trainer: the settings ``max_steps``, ``val_check_interval``, ``check_val_every_n_epoch`` and
            ``accumulate_grad_batches`` of conf/trainer.
        steps_per_epoch: optimiser steps.

    >>> by_epoch = {"val_check_interval": 1.0, "check_val_every_n_epoch": 1, "accumulate_grad_batches": 1}
    >>> [unvalidated_steps({"max_steps": steps, **by_epoch}, 250) for steps in (2600, 2500, -1)]
    [100, 0, 0]
    >>> by_batch = {"val_check_interval": 400, "check_val_every_n_epoch": None, "accumulate_grad_batches": 4}
    >>> [unvalidated_steps({"max_steps": steps, **by_batch}, 250) for steps in (2600, 2550)]
    [0, 50]
    """
    steps, interval = trainer["max_steps"], trainer.get("val_check_interval", 1.0)  # older runs have none
    if steps <= 0:
        return 0
    if trainer.get("check_val_every_n_epoch", 1) is not None:
        steps %= max(1, steps_per_epoch)
    if isinstance(interval, float):
        return steps % max(1, int(interval * steps_per_epoch))
    return steps % max(1, interval // trainer["accumulate_grad_batches"])


def git_commit() -> str:
    """The commit of this project's checkout, marked when files differ from it; without one, the program's version.

    Git would look for a checkout in the folders above, too, and find somebody else's.
    """
    if not IN_CLONE or not (PROJECT_DIR / ".git").exists():
        return f"unknown: demixer {__version__}, not a git checkout"
    command = ["git", "-C", str(PROJECT_DIR), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return f"unknown: demixer {__version__}, git cannot tell"
