"""The Lightning module: it *has* a network, and knows the loss, the optimiser and the validation."""

from collections.abc import Callable, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from model.separation_network import SeparationNetwork
from utils.errors import UserError
from utils.metrics import usdr

Optimizer = torch.optim.Optimizer
Scheduler = torch.optim.lr_scheduler.LRScheduler


class SeparationModule(pl.LightningModule):
    """Trains a :class:`SeparationNetwork` as the paper does.

    Args:
        network: what is trained.
        optimizer: parameters → optimiser.
        scheduler: optimiser → learning-rate schedule.
        scheduler_interval: "step" or "epoch", when the schedule moves on.
        separate: (C, L) → {target: (C, L)}, the Separator over the same network, for validation on whole songs.
    """

    def __init__(
        self,
        network: SeparationNetwork,
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[[Optimizer], Scheduler],
        scheduler_interval: str,
        separate: Callable[[Tensor], Mapping[str, Tensor]],
    ) -> None:
        super().__init__()
        self.network = network
        self._optimizer, self._scheduler = optimizer, scheduler
        self._scheduler_interval = scheduler_interval
        self._separate = separate

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        losses = separation_loss(self.network, batch["mixture"], batch["targets"])
        loss = sum(losses.values())
        if not torch.isfinite(loss):
            raise UserError(f"the loss is {loss.item()} in step {self.global_step}, on the songs {batch['songs']}")
        self.log("train/loss", loss, prog_bar=True)
        self.log_dict({f"train/{name}": value for name, value in losses.items()})
        return loss

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> None:
        mixture, targets = batch["mixture"][0], batch["targets"][0]
        estimates = self._separate(mixture)
        scores = {
            name: usdr(target.cpu(), estimates[name].cpu())
            for name, target in zip(self.network.targets, targets, strict=True)
        }
        self.log_dict({f"val/usdr_{name}": score for name, score in scores.items()}, batch_size=1, sync_dist=True)
        self.log("val/usdr", sum(scores.values()) / len(scores), prog_bar=True, batch_size=1, sync_dist=True)

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = self._optimizer(self.network.parameters())
        schedule = {"scheduler": self._scheduler(optimizer), "interval": self._scheduler_interval}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


def separation_loss(network: SeparationNetwork, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """The paper's loss: L1 of the real parts, of the imaginary parts, and of the waveforms, each a mean.

    Args:
        network: mixture → estimates.
        mixture: (B, C, L).
        targets: (B, S, C, L).

    Returns:
        The three terms by name; their sum is the loss.
    """
    estimated = network.estimate_spectra(mixture)
    true = network.spectrogram(targets)
    waveforms = network.spectrogram.inverse(estimated, mixture.shape[-1])
    return {
        "loss_real": F.l1_loss(estimated.real, true.real),
        "loss_imaginary": F.l1_loss(estimated.imag, true.imag),
        "loss_waveform": F.l1_loss(waveforms, targets),
    }
