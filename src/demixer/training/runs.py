"""What a training run is described by."""

import platform
from importlib.metadata import version
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from demixer import __version__
from demixer.commit import git_commit
from demixer.separation.live import latency_text

PACKAGES = ("torch", "torchaudio", "pytorch-lightning", "hydra-core", "omegaconf", "numpy", "soundfile", "tensorboard")
RUN_ONLY = ("compile", "checkpointing")  # settings of conf/model that change how it is computed, not what
SETTABLE = (*RUN_ONLY, "dropout")  # of `model`, where there are weights: none depends on them


def model_hparams(cfg: DictConfig) -> dict[str, Any]:
    """What is saved with the weights: all that rebuilding the network takes, as plain data."""
    parts = {name: OmegaConf.to_container(cfg[name], resolve=True) for name in ("featurizer", "model", "audio_params")}
    for setting in RUN_ONLY:
        parts["model"].pop(setting, None)
    target = OmegaConf.to_container(cfg.target, resolve=True)
    bands = {name: target[name] for name in ("bands_hz", "bands_bins") if name in target}
    return {"targets": list(target["targets"]), **bands, **parts}


def describe_run(cfg: DictConfig, network: torch.nn.Module, global_batch: int, lr: float | None = None) -> str:
    """The head of ``train.log``: configuration, versions, commit, parameters, learning rate, a live network's latency.

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
    latency_samples = getattr(network, "latency_samples", None)
    live = [] if latency_samples is None else [f"latency {latency_text(latency_samples, network.sample_rate_hz)}"]
    return "\n".join(
        [
            "configuration:",
            OmegaConf.to_yaml(cfg),
            ", ".join(versions),
            f"commit {git_commit()}",
            f"{parameters:,} parameters",
            rate,
            *live,
        ]
    )
