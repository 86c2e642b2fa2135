"""The Lightning module: it *has* a network and a loss, and knows the optimiser and the validation."""

import math
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.evaluation.metrics import finite_mean, not_finite, usdr
from demixer.model.separation_network import SeparationNetwork
from demixer.training.average import MovingAverage
from demixer.training.divided import divided
from demixer.training.steps import Part, SkippedSteps, refuse_broken_weights, spread_faults, suspects_of

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
        max_skipped_steps: so many steps in a row whose gradient is not finite end the run.

    Attributes:
        step_taken: whether the last optimiser step changed the weights.
    """

    def __init__(
        self,
        network: SeparationNetwork,
        loss: Callable[[SeparationNetwork, Tensor, Tensor], dict[str, Tensor]],
        optimizer: Callable[..., Optimizer],
        scheduler: Callable[[Optimizer], Scheduler],
        scheduler_interval: str,
        separate: Callable[[Tensor], Mapping[str, Tensor]],
        max_skipped_steps: int = 10,
    ) -> None:
        super().__init__()
        self.network = network
        self._loss, self._optimizer, self._scheduler = loss, optimizer, scheduler
        self._scheduler_interval = scheduler_interval
        self._separate = separate
        self._scores: dict[str, list[float]] = {}  # uSDR of this process's songs, by target
        self.step_taken = True
        self._skipped = SkippedSteps(max_skipped_steps)
        self._parts: list[Part] = []  # of the step that is being computed
        self._faults: list[str] = []  # what is wrong with this process's songs

    def training_step(self, batch: Mapping[str, Any], batch_idx: int) -> Tensor:
        mixture = batch["mixture"]
        losses = self._loss(divided(self.network, mixture), mixture, batch["targets"])
        self._parts.append(Part.of(batch, losses))
        return spread_faults(sum(losses.values()))

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip the gradient, or leave the step out where it is not finite; log both.

        The gradient's norm is computed once, and fetching it is the only time that a step waits for the device. The
        processes share one gradient, so they decide alike without asking each other. An optimiser leaves parameters
        without a gradient alone, with all that it remembers of them. The schedule and the count of steps go on.
        """
        parameters = [p for p in self.network.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm([p.grad for p in parameters])
        parts, self._parts = self._parts, []
        every = self.trainer.log_every_n_steps
        logged = bool(every) and (self.trainer.global_step + 1) % every == 0
        terms = self._mean_losses(parts) if logged else {}
        number, *values = torch.stack([norm, *terms.values()]).tolist()
        self.step_taken = math.isfinite(number)
        if self.step_taken:
            self._skipped.taken()
            if gradient_clip_algorithm == "value":
                self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
            elif gradient_clip_val and number > gradient_clip_val:
                torch.nn.utils.clip_grads_with_norm_(parameters, gradient_clip_val, norm)
        else:
            self._leave_out(parts, parameters)
        if logged or not self.step_taken:
            named = {"gradient_norm": number, **dict(zip(terms, values, strict=True))} if self.step_taken else {}
            self._log_numbers({**named, "skipped_steps": self._skipped.total})

    def _leave_out(self, parts: Sequence[Part], parameters: Sequence[Tensor]) -> None:
        songs, broken_loss = suspects_of(parts, self.trainer.world_size)
        scaler = getattr(self.trainer.precision_plugin, "scaler", None)
        if scaler is not None and not broken_loss and scaler.get_scale() > 1:
            return  # fp16's range: the scaler leaves the step out by itself, and tries a smaller scale
        for parameter in parameters:
            parameter.grad = None
        self._skipped.skip(self.trainer.global_step, songs)

    def _mean_losses(self, parts: Sequence[Part]) -> dict[str, Tensor]:
        """The loss and its terms, over the batches of a step and over all processes."""
        names = list(parts[0].losses)
        terms = torch.stack([torch.stack([part.losses[name] for name in names]) for part in parts]).mean(0)
        if self.trainer.world_size > 1:
            torch.distributed.all_reduce(terms)
            terms /= self.trainer.world_size
        return {"loss": terms.sum(), **dict(zip(names, terms.unbind(), strict=True))}

    def _log_numbers(self, values: Mapping[str, float]) -> None:
        """Log under ``train/`` what is known here already: on the device the progress bar would wait for it again."""
        tensors = {f"train/{name}": torch.tensor(value, dtype=torch.float64) for name, value in values.items()}
        for name, value in tensors.items():
            self.log(name, value, prog_bar=name == "train/loss")

    def validation_step(self, batch: Mapping[str, Any], batch_idx: int) -> Mapping[str, Tensor] | None:
        """Score a song as evaluate.py does; an estimate that is not finite is told at the end, on all processes."""
        song, truths = batch["song"], batch["targets"][0]
        estimates = self._separate(batch["mixture"][0])
        broken = [name for name in self.network.targets if not estimates[name].isfinite().all()]
        if broken:
            self._faults.append(not_finite(broken[0], song))
            return None
        pairs = zip(self.network.targets, truths, strict=True)
        self._scores[song] = [usdr(truth.cpu(), estimates[name]) for name, truth in pairs]
        return estimates

    def on_validation_epoch_end(self) -> None:
        """Log the mean over the songs of all processes, each counted once.

        Raises:
            UserError: an estimate of a song was not finite.
        """
        everyone = [(self._scores, self._faults)]
        if self.trainer.world_size > 1:
            everyone = [None] * self.trainer.world_size
            torch.distributed.all_gather_object(everyone, (self._scores, self._faults))
        self._scores, self._faults = {}, []
        if faults := [fault for _, some in everyone for fault in some]:
            raise UserError(faults[0])
        by_song = ChainMap(*(scores for scores, _ in everyone)).values()
        means = [finite_mean(scores) for scores in zip(*by_song, strict=True)]
        names = [f"val/usdr_{name}" for name in self.network.targets]
        self._log_exactly(dict(zip(names, means, strict=True)))
        self._log_exactly({"val/usdr": finite_mean(means)}, prog_bar=True)

    def _log_exactly(self, values: Mapping[str, float], **options: Any) -> None:
        """Log numbers that all processes agree on in double precision: those that evaluate.py finds."""
        device = self.device if self.device.type == "cuda" else "cpu"  # where the processes talk; not all know doubles
        exact = {name: torch.tensor(value, dtype=torch.float64, device=device) for name, value in values.items()}
        self.log_dict(exact, reduce_fx="max", sync_dist=True, **options)  # the mean of equal numbers may be rounded

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Without an average, training goes on with its own weights, not with the average that was saved of them."""
        if not any(isinstance(callback, MovingAverage) for callback in self.trainer.callbacks):
            checkpoint["state_dict"] = checkpoint.get("current_model_state", checkpoint["state_dict"])
        memory = {key: value for key, value in self.state_dict().items() if key.startswith("_loss.")}
        for name in {"state_dict", "current_model_state"} & checkpoint.keys():  # the loss may be another than it was
            state = checkpoint[name]
            weights = {key: value for key, value in state.items() if not key.startswith("_loss.")}
            checkpoint[name] = weights | {key: state.get(key, value) for key, value in memory.items()}
        self._skipped.total = checkpoint.get("skipped_steps", 0)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Lightning calls it after the average has put itself in."""
        refuse_broken_weights(checkpoint, self.trainer.global_step)
        checkpoint["skipped_steps"] = self._skipped.total

    def configure_optimizers(self) -> dict[str, Any]:
        try:
            optimizer = self._optimizer(self.network.named_parameters())
        except ValueError as error:
            raise UserError(f"`optimizer`: {error}") from error
        try:
            schedule = {"scheduler": self._scheduler(optimizer), "interval": self._scheduler_interval}
        except ValueError as error:
            raise UserError(f"`scheduler`: {error} (one_cycle needs `trainer.max_steps`)") from error
        return {"optimizer": optimizer, "lr_scheduler": schedule}
