"""What happens around a training step: its randomness, its figures, and what can be heard of it."""

import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import TensorBoardLogger

from demixer.figures.sound import spectrograms

Batch = dict[str, Any]
ESTIMATED = ", estimated"


class SeedEachBatch(Callback):
    """Makes what is random inside the network (dropout) a function of the seed and the batch's number alone.

    A resumed run then draws what an uninterrupted one would have drawn, without a random state to be kept.

    Args:
        seed: of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        batches = trainer.fit_loop.epoch_loop.total_batch_idx
        numbers = (self.seed, trainer.global_rank, batches)
        torch.manual_seed(hash(numbers) % 2**63)  # the hash of a tuple of integers is the same in every process


class TrainingMonitor(Callback):
    """Logs how many crops a second are trained on."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._crops = 0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._since = None  # the time of the validation is not the training's

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, *_: Any
    ) -> None:
        now = time.perf_counter()
        self._crops += len(batch["mixture"]) * trainer.world_size
        if self._since is None:
            self._since, self._crops = now, 0
        elif trainer.global_step % trainer.log_every_n_steps == 0:
            per_second = torch.tensor(self._crops / (now - self._since), dtype=torch.float64)  # not on the device
            pl_module.log("train/crops_per_second", per_second)
            self._since, self._crops = now, 0


class Listen(Callback):
    """Writes mixture, truth and estimate of a few validation songs to TensorBoard, to be heard and seen.

    What stays the same, mixture and truth, is written to be heard at the first validation only.

    Args:
        songs: the first so many validation songs.
        seconds: how much of each, from its middle.
    """

    def __init__(self, songs: int = 2, seconds: float = 10.0) -> None:
        self.songs, self.seconds = songs, seconds
        self._heard: set[str] = set()  # what has been written and does not change

    def on_validation_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Batch, batch_idx: int, *_: Any
    ) -> None:
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger)]
        if batch_idx >= self.songs or trainer.sanity_checking or not loggers or outputs is None:
            return
        network = pl_module.network
        length = round(self.seconds * network.sample_rate_hz)
        middle = max(0, (batch["mixture"].shape[-1] - length) // 2)
        part = slice(middle, middle + length)
        sounds = {"mixture": batch["mixture"][0]}
        for name, truth in zip(network.targets, batch["targets"][0], strict=True):
            sounds |= {name: truth, f"{name}{ESTIMATED}": outputs[name]}
        sounds = {name: sound[..., part].float().cpu() for name, sound in sounds.items()}
        for logger in loggers:
            board, step = logger.experiment, trainer.global_step
            for name, sound in sounds.items():
                if batch["song"] not in self._heard or name.endswith(ESTIMATED):
                    mono = sound.mean(0).clamp(-1, 1)
                    board.add_audio(f"{batch['song']}/{name}", mono, step, network.sample_rate_hz)
            board.add_figure(batch["song"], spectrograms(sounds, network.sample_rate_hz), step)
        self._heard.add(batch["song"])
