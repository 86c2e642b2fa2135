"""When a run validates, and whether steps are lost by that."""

import logging
from collections.abc import Mapping
from typing import Any

from demixer.errors import UserError

log = logging.getLogger(__name__)


def check_validations(trainer: Mapping[str, Any], batches_per_epoch: int) -> None:
    """Warn where validations come so that steps are lost, at the end or by going on.

    Args:
        trainer: see :func:`unvalidated_steps`.
        batches_per_epoch: of each process.

    Raises:
        UserError: a step has no batch, or none of an epoch's is the one after which to validate.
    """
    between = _batches_between(trainer, batches_per_epoch)
    by_epoch = trainer.get("check_val_every_n_epoch", 1) is not None
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
