"""What a training run is described by, and what is said of it beforehand."""

import logging
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from demixer import __version__
from demixer.commit import git_commit
from demixer.errors import UserError
from demixer.separation.live import latency_text

log = logging.getLogger(__name__)

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


def check_validations(trainer: Mapping[str, Any], batches_per_epoch: int) -> None:
    """Warn where validations come so that steps are lost, at the end or by going on.

    Args:
        trainer: see :func:`unvalidated_steps`.
        batches_per_epoch: of each process.

    Raises:
        UserError: a step has no batch, or none of an epoch's is the one after which to validate.
    """
    between, by_epoch = (
        _batches_between(trainer, batches_per_epoch),
        trainer.get("check_val_every_n_epoch", 1) is not None,
    )
    if trainer["accumulate_grad_batches"] < 1:
        raise UserError(f"`trainer.accumulate_grad_batches` (={trainer['accumulate_grad_batches']}) must be at least 1")
    if by_epoch and batches_per_epoch and between > batches_per_epoch:
        raise UserError(
            f"`trainer.val_check_interval` (={between}) is more than an epoch's {batches_per_epoch} batches: set "
            "trainer.check_val_every_n_epoch=null to count beyond it"
        )
    if left := unvalidated_steps(trainer, batches_per_epoch):
        log.warning("`trainer.max_steps` (=%d) ends %d steps after a validation", trainer["max_steps"], left)
    if validates_within_a_step(trainer, batches_per_epoch):
        log.warning(
            "validations come within a step of %d batches (`trainer.accumulate_grad_batches`), of which a run that "
            "goes on from there lacks a part: make `trainer.val_check_interval`, and an epoch, a multiple of it",
            trainer["accumulate_grad_batches"],
        )


def unvalidated_steps(trainer: Mapping[str, Any], batches_per_epoch: int) -> int:
    """How many steps a run makes after its last validation: they count for nothing, since the best validated is used.

    Args:
        trainer: the settings ``max_steps``, ``val_check_interval``, ``check_val_every_n_epoch`` and
            ``accumulate_grad_batches`` of conf/trainer.
        batches_per_epoch: of each process; an epoch's last step may have fewer than the others.

    >>> by_epoch = {"val_check_interval": 1.0, "check_val_every_n_epoch": 1, "accumulate_grad_batches": 1}
    >>> [unvalidated_steps({"max_steps": steps, **by_epoch}, 250) for steps in (2600, 2500, -1)]
    [100, 0, 0]
    >>> by_two = {**by_epoch, "check_val_every_n_epoch": 2, "accumulate_grad_batches": 3}  # 84 steps an epoch
    >>> [unvalidated_steps({"max_steps": steps, **by_two}, 250) for steps in (840, 924)]
    [0, 84]
    >>> by_batch = {"val_check_interval": 400, "check_val_every_n_epoch": None, "accumulate_grad_batches": 4}
    >>> [unvalidated_steps({"max_steps": steps, **by_batch}, 1000) for steps in (2600, 2550)]
    [0, 50]
    """
    steps = trainer["max_steps"]
    per_step, epochs = trainer["accumulate_grad_batches"], trainer.get("check_val_every_n_epoch", 1)
    if steps <= 0:
        return 0
    between = max(1, -(-_batches_between(trainer, batches_per_epoch) // per_step))
    if epochs is None:
        return steps % between
    steps_per_epoch = max(1, -(-batches_per_epoch // per_step))
    since = steps % (epochs * steps_per_epoch)
    within = since - (epochs - 1) * steps_per_epoch  # the only epoch of them that is validated
    return since if within < between else within % between


def validates_within_a_step(trainer: Mapping[str, Any], batches_per_epoch: int) -> bool:
    """Whether validations come while a gradient is being accumulated, which the checkpoints written there do not hold.

    Args:
        trainer: see :func:`unvalidated_steps`.
        batches_per_epoch: of each process.

    >>> by_share = {"val_check_interval": 0.25, "check_val_every_n_epoch": 1}
    >>> [validates_within_a_step({**by_share, "accumulate_grad_batches": batches}, 250) for batches in (1, 2, 4)]
    [False, False, True]
    """
    between, per_step = _batches_between(trainer, batches_per_epoch), trainer["accumulate_grad_batches"]
    if trainer.get("check_val_every_n_epoch", 1) is None:  # an epoch may end with a smaller step
        return between % per_step > 0 or batches_per_epoch % per_step > 0
    return between < batches_per_epoch and between % per_step > 0


def _batches_between(trainer: Mapping[str, Any], batches_per_epoch: int) -> int:
    """From one validation to the next."""
    interval = trainer.get("val_check_interval", 1.0)  # older runs have none
    return int(interval * batches_per_epoch) if isinstance(interval, float) else interval
