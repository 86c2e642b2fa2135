"""Semi-supervised fine-tuning (Luo & Yu 2022, section III-D): the teacher, its labels, and who replaces it when."""

import logging
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from omegaconf import DictConfig
from pytorch_lightning.callbacks import Callback
from torch import Tensor

from demixer.errors import UserError
from demixer.model.separation_network import SeparationNetwork
from demixer.training.config import build

log = logging.getLogger(__name__)


class Teacher(Callback):
    """Labels unlabelled mixtures (:meth:`label`), until the student validates better and takes its place.

    The student begins as the teacher: what the module holds when the fit begins is both. What is compared is what is
    validated: the moving average of the student's weights where there is one. The validation before training
    (``trainer.num_sanity_val_steps=-1``) gives the teacher's own score, on the same songs with the same windows. A
    checkpoint holds the teacher, so that a run goes on with it, and without the file that it came from. Networks of
    one target, of some and of all are taught alike, in any order of the callbacks.

    Args:
        threshold_db: see :func:`pseudo_labels`.
    """

    def __init__(self, threshold_db: float = 30.0) -> None:
        self.threshold_db = threshold_db
        self.usdr = float("-inf")
        self.network: SeparationNetwork | None = None
        self._validated: dict[str, Tensor] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.network = deepcopy(pl_module.network).eval().requires_grad_(False)
        self._precision = trainer.precision_plugin

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.network.to(pl_module.device)

    @torch.no_grad()
    def label(self, mixture: Tensor) -> tuple[Tensor, Tensor]:
        """Targets (B, S, C, L) and residual (B, C, L) of mixtures (B, C, L)."""
        with self._precision.forward_context():
            estimates = self.network(mixture)
        return pseudo_labels(mixture, estimates.to(mixture.dtype), self.threshold_db)

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, *_: Any
    ) -> None:
        if batch_idx == 0:  # the average's weights are in the module from here to the last song only
            self._validated = {name: value.clone() for name, value in pl_module.network.state_dict().items()}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        usdr = trainer.callback_metrics["val/usdr"].item()
        if trainer.sanity_checking:
            log.info("the teacher validates with %.3f dB", usdr)
            self.usdr = usdr
        elif usdr > self.usdr:
            log.info("the student (step %d) replaces the teacher: %.3f > %.3f dB", trainer.global_step, usdr, self.usdr)
            self.network.load_state_dict(self._validated)
            self.usdr = usdr
        self._validated = {}

    def state_dict(self) -> dict[str, Any]:
        return {"usdr": self.usdr, "weights": self.network.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.usdr = state_dict["usdr"]
        self.network.load_state_dict(state_dict["weights"])


def build_data(cfg: DictConfig, callbacks: Sequence[Callback]) -> pl.LightningDataModule:
    """The data module of a run; the teacher, where one is among the callbacks, labels its songs without stems.

    Raises:
        UserError: there is a teacher, but no songs for it, or nothing that says with which weights it begins.
    """
    teacher = next((one for one in callbacks if isinstance(one, Teacher)), None)
    if teacher is None:
        return build(cfg.data)
    if "unlabelled" not in cfg.data:
        raise UserError("a teacher needs songs without stems: set data=semi_supervised")
    if "teacher" not in cfg:
        raise UserError("`teacher` is missing: set experiment=semi_supervised teacher=RUN_DIR")
    return build(cfg.data, label=teacher.label)


def pseudo_labels(mixture: Tensor, estimates: Tensor, threshold_db: float = 30.0) -> tuple[Tensor, Tensor]:
    """What an unlabelled mixture is taken to consist of, by the energies of a segment.

    - The mixture is more than ``threshold_db`` above an estimate: that target is not in it. (Of a single target: the
      mixture is a clean residual.)
    - It is more than ``threshold_db`` above what an estimate leaves of it: the mixture is that target, clean, and
      nothing else. (Should that hold for several targets, the one that leaves least.)
    - Otherwise the estimate is the pseudo-label.

    Args:
        mixture: (B, C, L).
        estimates: (B, S, C, L).
        threshold_db: 30 in the paper.

    Returns:
        Targets (B, S, C, L) and the residual (B, C, L); together they are the mixture.
    """
    ratio = 10 ** (-threshold_db / 10)
    limit = ratio * _energy(mixture)[:, None]
    left = _energy(mixture[:, None] - estimates)
    absent = (_energy(estimates) < limit) | (limit == 0)
    clean = (left < limit) & F.one_hot(left.argmin(1), left.shape[1]).bool()
    absent |= clean.any(1, keepdim=True)
    targets = estimates.masked_fill(absent[..., None, None], 0)
    targets = torch.where(clean[..., None, None], mixture[:, None], targets)
    return targets, mixture - targets.sum(1)


def _energy(waveform: Tensor) -> Tensor:
    """Sum of the squares over channels and samples."""
    return waveform.square().sum((-2, -1))
