"""What a training run is described by."""

import platform
from importlib.metadata import version
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from demixer import __version__
from demixer.commit import git_commit

PACKAGES = ("torch", "torchaudio", "pytorch-lightning", "hydra-core", "omegaconf", "numpy", "soundfile", "tensorboard")
SETTABLE = ("compile", "dropout", "checkpointing")  # of `model`, where there are weights: none depends on them


def model_hparams(cfg: DictConfig) -> dict[str, Any]:
    """What is saved with the weights: all that rebuilding the network takes, as plain data."""
    parts = {name: OmegaConf.to_container(cfg[name], resolve=True) for name in ("featurizer", "model", "audio_params")}
    parts["model"].pop("compile", None)
    target = OmegaConf.to_container(cfg.target, resolve=True)
    bands = {name: target[name] for name in ("bands_hz", "bands_bins") if name in target}
    return {"targets": list(target["targets"]), **bands, **parts}


def describe_run(cfg: DictConfig, network: torch.nn.Module, global_batch: int, lr: float | None = None) -> str:
    """The head of ``train.log``: configuration, versions, commit, parameters and learning rate.

    Args:
        cfg: of the run, with the scaled learning rate.
        network: what is trained.
        global_batch: crops in one optimiser step, over all processes.
        lr: the checkpoint's, of a run that goes on.
    """
    rate = f"learning rate {cfg.optimizer.lr:g} for a global batch of {global_batch} (rule: {cfg.learning_rate.rule})"
    if lr is not None:
        rate = f"learning rate {lr:g}, as the checkpoint has it, for a global batch of {global_batch}"
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
            rate,
        ]
    )


def unvalidated_steps(max_steps: int, samples_per_epoch: int, global_batch: int) -> int:
    """How many steps a run makes after its last validation: they count for nothing, since the best validated is used.

    >>> unvalidated_steps(2600, 1000, 4), unvalidated_steps(2500, 1000, 4), unvalidated_steps(-1, 1000, 4)
    (100, 0, 0)
    """
    return max_steps % max(1, samples_per_epoch // global_batch) if max_steps > 0 else 0
