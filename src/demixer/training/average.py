"""A moving average of the weights: what is validated, and what is saved."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from demixer.errors import UserError


class MovingAverage(Callback):
    """Keeps average ← decay · average + (1 − decay) · weights after every optimiser step, and validates with it.

    Of parameters only: buffers are constants here, and some are indices, which have no average. It begins with the
    weights after the first step. A checkpoint holds the average as its ``state_dict``, which the other scripts read,
    and as ``current_model_state`` the weights that training goes on with: the layout of Lightning's own callback,
    whose checkpoints go on here, too.

    Args:
        decay: how much of the average a step keeps.

    Raises:
        UserError: ``decay`` is not in 0…1.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0 <= decay <= 1:
            raise UserError(f"`decay` (={decay}) of the moving average must be in 0…1")
        self.decay = decay
        self._average: dict[str, Tensor] = {}
        self._updates = 0
        self._latest_step = 0

    @property
    def state_key(self) -> str:
        return "EMAWeightAveraging"  # the name in checkpoints, which is older than this class

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The average is in the module by now; the weights take its place, where the checkpoint has them."""
        self._average = _copies(pl_module)
        if "current_model_state" in checkpoint:
            self._updates = int(checkpoint["averaging_state"]["n_averaged"])
            pl_module.load_state_dict(checkpoint["current_model_state"])

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        average = self._average or _copies(pl_module)
        self._average = {name: average[name].to(weights) for name, weights in pl_module.named_parameters()}

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.global_step == self._latest_step:
            return  # gradients are being accumulated
        self._latest_step = trainer.global_step
        if not getattr(pl_module, "step_taken", True):
            return  # the weights are those of the step before, which has been counted
        weight = 1 - self.decay if self._updates else 1.0
        torch._foreach_lerp_(list(self._average.values()), _weights(pl_module), weight)
        self._updates += 1

    def on_validation_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap(pl_module)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._swap(pl_module)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        checkpoint["current_model_state"] = checkpoint["state_dict"]
        checkpoint["state_dict"] = {**checkpoint["state_dict"], **self._average}
        checkpoint["averaging_state"] = {"n_averaged": torch.tensor(self._updates)}

    def state_dict(self) -> dict[str, Any]:
        return {"latest_update_step": self._latest_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._latest_step = state_dict["latest_update_step"]

    def _swap(self, pl_module: pl.LightningModule) -> None:
        """Exchange the contents, not the tensors: others hold on to those (DDP, a recurrent layer's flat weights)."""
        average, weights = list(self._average.values()), _weights(pl_module)
        kept = [one.clone() for one in average]
        torch._foreach_copy_(average, weights)
        torch._foreach_copy_(weights, kept)


def _weights(module: pl.LightningModule) -> list[Tensor]:
    return [weights.detach() for weights in module.parameters()]


def _copies(module: pl.LightningModule) -> dict[str, Tensor]:
    return {name: weights.detach().clone() for name, weights in module.named_parameters()}
