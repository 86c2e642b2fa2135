"""What a run's owner looks for: how good it is, how good it was, how fast it goes and how long it takes."""

import csv
import logging
import math
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

log = logging.getLogger(__name__)

BEST, SPEED, LEFT = "val/best_usdr", "val/steps_per_second", "val/seconds_left"


class ValidationLog(Callback):
    """Tells each validation in ``train.log``, and the loggers what they cannot know: best, steps/s and time left.

    Steps/s are those of the training since the validation before; the time left includes the validations to come, and
    not that a run may stop early.
    """

    def __init__(self) -> None:
        self.best, self.best_step = -math.inf, 0
        self._begin = self._since = (0.0, 0)  # when, and at which step: this process, and the training since the last
        self._speed = math.nan

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._begin = self._since = (time.monotonic(), trainer.global_step)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._speed = _rate(self._since, trainer.global_step)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking:
            return
        scores = {name: value.item() for name, value in trainer.callback_metrics.items() if name.startswith("val/usdr")}
        usdr, step, steps = scores.pop("val/usdr"), trainer.global_step, trainer.estimated_stepping_batches
        if usdr > self.best:
            self.best, self.best_step = usdr, step
        left = (steps - step) / rate if (rate := _rate(self._begin, step)) else math.nan
        if trainer.is_global_zero:
            targets = ", ".join(f"{name.removeprefix('val/usdr_')} {value:.3f}" for name, value in scores.items())
            log.info(
                "step %d of %s: uSDR %.3f dB (%s), best %.3f at step %d; %.3g steps/s, %s left",
                *(step, steps, usdr, targets, self.best, self.best_step, self._speed, duration(left)),
            )
        for logger in trainer.loggers:
            logger.log_metrics({BEST: self.best, SPEED: self._speed, LEFT: left}, step=step)
        self._since = (time.monotonic(), step)

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "best_step": self.best_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best, self.best_step = state_dict["best"], state_dict["best_step"]


class ValidationTable(Logger):
    """A CSV file with a row for each validation; a run that goes on adds to it.

    Lightning's own has a row for every logged step, and begins by deleting what an earlier start has written.

    Args:
        file: the table.
    """

    def __init__(self, file: Path | str) -> None:
        super().__init__()
        self.file = Path(file)
        self._row: dict[str, float] = {}

    @property
    def name(self) -> str:
        return self.file.stem

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(self, *_: Any, **__: Any) -> None:
        """Nothing: the run's config.yaml holds them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Gather a validation's figures; what :class:`ValidationLog` adds to them is the last of them."""
        self._row |= {name.removeprefix("val/"): value for name, value in metrics.items() if name.startswith("val/")}
        if BEST not in metrics:
            return
        new = not self.file.is_file()
        with self.file.open("a", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            if new:
                writer.writerow(["step", *self._row])
            writer.writerow([step, *(f"{value:.6g}" for value in self._row.values())])
        self._row = {}


def end_logging(loggers: Iterable[Logger]) -> None:
    """End what would otherwise last as long as this process: the next run of a multirun would log into W&B's run."""
    for logger in loggers:
        if finish := getattr(getattr(logger, "experiment", None), "finish", None):
            finish()


def duration(seconds: float) -> str:
    """A time to come, in the two largest units that matter.

    >>> duration(59.6), duration(3600 * 5 + 61), duration(86400 * 2 + 3600), duration(float("inf"))
    ('1 min', '5 h 1 min', '2 d 1 h', 'unknown time')
    """
    if not math.isfinite(seconds):
        return "unknown time"
    minutes = round(seconds / 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"


def _rate(since: tuple[float, int], step: int) -> float:
    seconds = time.monotonic() - since[0]
    return (step - since[1]) / seconds if seconds > 0 else math.nan
