"""What in a recipe depends on the machine: the learning rate for its batch, and how precisely it multiplies."""

import logging

import torch

from demixer.errors import UserError

log = logging.getLogger(__name__)
MATMUL_PRECISIONS = ("highest", "high", "medium")


def scaled_learning_rate(lr: float, global_batch: int, rule: str, reference_batch_size: int) -> float:
    """The learning rate for another global batch than the one that it was found for.

    Args:
        lr: at the reference.
        global_batch: crops in one optimiser step, over all processes.
        rule: "none", "linear" (Goyal et al. 2017, arXiv 1706.02677) or "sqrt" (Malladi et al. 2022, for Adam).
        reference_batch_size: the global batch that ``lr`` is for.

    >>> scaled_learning_rate(1e-3, 4, "sqrt", 16)
    0.0005
    """
    ratio = global_batch / reference_batch_size
    factors = {"none": 1.0, "linear": ratio, "sqrt": ratio**0.5}
    if rule not in factors:
        raise UserError(f"`learning_rate.rule` (={rule!r}) must be one of {sorted(factors)}")
    return lr * factors[rule]


def warn_of_batch(global_batch: int, rule: str, reference_batch_size: int) -> None:
    """Warn where the learning rate was found for another global batch, and no rule adapts it."""
    if rule == "none" and global_batch != reference_batch_size:
        log.warning(
            "the learning rate is for a global batch of %d, this one is %d: set trainer.accumulate_grad_batches, or "
            "learning_rate.rule=sqrt (or linear), or learning_rate.reference_batch_size=%d if it is meant so",
            reference_batch_size,
            global_batch,
            global_batch,
        )


def set_matmul_precision(name: str) -> None:
    """Choose how CUDA multiplies fp32: "highest" in fp32, "high" in TF32, "medium" in bf16; recurrent layers too.

    Raises:
        UserError: there is no such precision.
    """
    if name not in MATMUL_PRECISIONS:
        raise UserError(f"`matmul_precision` (={name!r}) must be one of {', '.join(MATMUL_PRECISIONS)}")
    torch.set_float32_matmul_precision(name)
    torch.backends.cudnn.allow_tf32 = name != "highest"
