"""How a run starts, anew or from a checkpoint, and what is written down of it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from demixer.checkpoints.hparams import write_hparams
from demixer.checkpoints.records import RECORD_NAME, write_record
from demixer.commit import git_commit
from demixer.training.overriding import merged
from demixer.training.resuming import Resume, checkpoint_of, resume
from demixer.training.run_folders import claimed, is_first_process


@dataclass(frozen=True)
class Start:
    """A run that starts.

    Args:
        cfg: its settings.
        overrides: all that the command line has given it, now and before.
        resume: from where and from what it goes on; None for a new run.
    """

    cfg: DictConfig
    overrides: Sequence[str]
    resume: Resume | None = None

    def write(self, hparams: Mapping[str, Any], processes: int) -> None:
        """Write down what is known of it: the network's settings, and the run's where they are news.

        Args:
            hparams: what rebuilding the network takes.
            processes: that train.
        """
        if not is_first_process():
            return
        run_dir = Path(self.cfg.run_dir)
        write_hparams(run_dir, hparams)
        news = self.resume is None or self.resume.changes or self.resume.record.processes != processes
        if news or not (run_dir / RECORD_NAME).is_file():
            write_record(
                run_dir,
                self.cfg,
                overrides=list(self.overrides),
                processes=processes,
                commit=git_commit(),
                time=datetime.now().astimezone().isoformat(timespec="seconds"),
                checkpoint=None if self.resume is None else str(self.resume.checkpoint),
            )


@contextmanager
def starting(cfg: DictConfig, given: Sequence[str]) -> Iterator[Start]:
    """Find out whether a run begins or goes on, and keep its folder for this process.

    Args:
        cfg: what Hydra has composed.
        given: the overrides on the command line.

    Raises:
        UserError: there is nothing to go on from, or it cannot be done with these overrides, or the folder is taken.
    """
    run_dir = Path(cfg.run_dir)
    checkpoint = checkpoint_of(cfg.ckpt_path, run_dir)
    elsewhere = checkpoint is None or checkpoint.parent.parent.resolve() != run_dir.resolve()
    with claimed(run_dir, fresh=elsewhere):
        if checkpoint is None:
            yield Start(cfg, merged([], given))
        else:
            settings, going_on = resume(checkpoint, cfg, given)
            yield Start(settings, merged(going_on.record.overrides, given), going_on)
