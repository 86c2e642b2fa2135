"""The Lightning module: it *has* a network and a loss, and knows the optimiser and the validation."""

from collections import ChainMap
from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.evaluation.metrics import usdr
from demixer.model.separation_network import SeparationNetwork
from demixer.training.average import MovingAverage

Optimizer = torch.optim.Optimizer
Scheduler = torch.optim.lr_scheduler.LRScheduler


class SeparationModule(pl.LightningModule):
    """Trains a :class:`SeparationNetwork` as the paper does.

    Args:
        network: what is trained.
        loss: (network, mixture, targets) → the loss's terms by name (:mod:`demixer.training.losses`).
        optimizer: (name, parameter) pairs → optimiser.
        scheduler: optimiser → learning-rate schedule.
        scheduler_interval: "step" or "epoch", when the schedule moves on.
        separate: (C, L) → {target: (C, L)}, the Separator over the same network, for validation on whole songs.
    """

    def __init__(
        self,
        network: SeparationNetwork,
        loss: Callable[[SeparationNetwork, Tensor, Tensor], dict[str, Tensor]],
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[[Optimizer], Scheduler],
        scheduler_interval: str,
        separate: Callable[[Tensor], Mapping[str, Tensor]],
    ) -> None:
        super().__init__()
        self.network = network
        self._loss, self._optimizer, self._scheduler = loss, optimizer, scheduler
        self._scheduler_interval = scheduler_interval
        self._separate = separate
        self._scores: dict[str, list[float]] = {}  # uSDR of this process's songs, by target

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        losses = self._loss(self.network, batch["mixture"], batch["targets"])
        loss = sum(losses.values())
        if not torch.isfinite(loss):
            raise UserError(f"the loss is {loss.item()} in step {self.global_step}, on the songs {batch['songs']}")
        self.log("train/loss", loss, prog_bar=True, sync_dist=True)
        self.log_dict({f"train/{name}": value for name, value in losses.items()}, sync_dist=True)
        return loss

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> Mapping[str, Tensor]:
        mixture, targets = batch["mixture"][0], batch["targets"][0]
        estimates = self._separate(mixture)
        # a song without a target says nothing about it: its score would be a measure of the noise floor
        self._scores[batch["song"]] = [
            usdr(truth.cpu(), estimates[name]) if truth.any() else float("nan")
            for name, truth in zip(self.network.targets, targets, strict=True)
        ]
        return estimates

    def on_validation_epoch_end(self) -> None:
        """Log the mean over the songs of all processes, each counted once."""
        everyone = [self._scores]
        if self.trainer.world_size > 1:
            everyone = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(everyone, self._scores)
        scores = torch.tensor(list(ChainMap(*everyone).values())).nanmean(0)
        self._scores = {}
        named = {f"val/usdr_{name}": score for name, score in zip(self.network.targets, scores, strict=True)}
        self.log_dict(named, sync_dist=True)  # equal everywhere already; Lightning wants it said
        self.log("val/usdr", scores.nanmean(), prog_bar=True, sync_dist=True)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Without an average, training goes on with its own weights, not with the average that was saved of them."""
        if not any(isinstance(callback, MovingAverage) for callback in self.trainer.callbacks):
            checkpoint["state_dict"] = checkpoint.get("current_model_state", checkpoint["state_dict"])

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = self._optimizer(self.network.named_parameters())
        schedule = {"scheduler": self._scheduler(optimizer), "interval": self._scheduler_interval}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


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
