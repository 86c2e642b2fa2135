"""How a run goes on: from its own checkpoint and its own settings, changed by no more than what is given now."""

import os
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from demixer.checkpoints.hparams import read_hparams
from demixer.checkpoints.locating import HPARAMS_NAME, LAST_NAME, RUN_WEIGHTS_DIR
from demixer.checkpoints.records import Record, read_record
from demixer.errors import UserError, one_line
from demixer.training.overriding import Place, flat, overridden
from demixer.training.runs import SETTABLE
from demixer.training.upgrading import upgraded

FIXED = ("target", "featurizer", "model", "optimizer", "scheduler", "learning_rate", "init", "teacher")


def checkpoint_of(ckpt_path: str | None, run_dir: Path) -> Path | None:
    """The checkpoint that a start goes on from; None for a run that begins.

    A job of a multirun, and one that the cluster has started again, goes on with what its folder holds already.

    Args:
        ckpt_path: None, a file, or "last" for the run's own last one.
        run_dir: the run's folder.

    Raises:
        UserError: it does not exist.
    """
    own, in_multirun = run_dir / RUN_WEIGHTS_DIR / LAST_NAME, _in_multirun()
    if ckpt_path is None:
        return own if own.is_file() and (in_multirun or _started_again()) else None
    if ckpt_path == "last" and in_multirun and not own.is_file():
        return None  # the multirun that goes on was stopped before this job's turn
    path = own if ckpt_path == "last" else Path(ckpt_path).absolute()
    if not path.is_file():
        hint = "; there is no run to go on with, start one without ckpt_path" if ckpt_path == "last" else ""
        raise UserError(f"`ckpt_path` (={ckpt_path}): there is no file `{path}`{hint}")
    return path


def _in_multirun() -> bool:
    return HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN


def _started_again() -> bool:
    """After a preemption (SLURM), or after another process has failed (torchrun)."""
    return any(int(os.environ.get(name, 0)) for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"))


@dataclass(frozen=True)
class Resume:
    """Where a run goes on.

    Args:
        checkpoint: its file.
        record: the settings that it had.
        changes: the settings that differ now, with their former and their new values.
        batches: how many of all processes it has trained on.
        lr: the learning rate there.
    """

    checkpoint: Path
    record: Record
    changes: dict[Place, tuple[Any, Any]]
    batches: int
    lr: float


def resume(checkpoint: Path, cfg: DictConfig, given: Sequence[str]) -> tuple[DictConfig, Resume]:
    """The settings with which a run goes on, and where that is.

    Args:
        checkpoint: of the run, in its ``weights/``.
        cfg: what Hydra has composed; it fills in what an older record does not know.
        given: the overrides on the command line.

    Raises:
        UserError: what is given would change what cannot change, or a file cannot be read.
    """
    source = checkpoint.parent.parent
    record = read_record(source)
    if record is None or not (source / HPARAMS_NAME).is_file():
        raise UserError(f"`ckpt_path` (={checkpoint}) must lie in `weights/` of a run, beside its config.yaml")
    before = upgraded(record, read_hparams(source))
    for name in cfg:
        if name not in before or name in ("run_dir", "ckpt_path"):
            before[name] = cfg[name]
    for name in SETTABLE:
        if name in cfg.model and name not in before.model:
            before.model[name] = cfg.model[name]
    after = overridden(before, record.overrides, given)
    changes = differences(before, after)
    _refuse_fixed(changes, after, source)
    return after, Resume(checkpoint, record, changes, *_standing(checkpoint))


def _standing(checkpoint: Path) -> tuple[int, float]:
    if not zipfile.is_zipfile(checkpoint):
        raise UserError(f"cannot go on from `{checkpoint}`, give another checkpoint: it is damaged")
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
        progress = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        return progress["total"]["processed"], content["optimizer_states"][0]["param_groups"][0]["lr"]
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, IndexError, TypeError) as error:
        raise UserError(
            f"cannot go on from `{checkpoint}`, give another checkpoint: {one_line(error)[:300]}"
        ) from error


def differences(before: DictConfig, after: DictConfig) -> dict[Place, tuple[Any, Any]]:
    """Every setting that differs, with its two values; None where there is none."""
    one, two = (flat(OmegaConf.to_container(cfg, resolve=True)) for cfg in (before, after))
    return {place: (one.get(place), two.get(place)) for place in one | two if one.get(place) != two.get(place)}


def _refuse_fixed(changes: Mapping[Place, tuple[Any, Any]], after: DictConfig, source: Path) -> None:
    for place, (old, new) in changes.items():
        if place[0] not in FIXED or (place[0] == "model" and place[-1] in SETTABLE):
            continue
        name = ".".join(place)
        raw = flat(OmegaConf.to_container(after, resolve=False)).get(place)
        follows = f", which is {raw}," if raw != new and raw is not None else ""
        raise UserError(
            f"`{name}` ({old} → {new}){follows} cannot change in a run that goes on, since its checkpoint holds the "
            f"network, the optimiser's state and the schedule: leave it out, or begin a new run with init={source}"
        )


def describe_resume(resume: Resume, batch_size: int, processes: int) -> str:
    """What ``train.log`` tells of a run that goes on: from where, with which changes, and what becomes of its data.

    Args:
        resume: where it goes on.
        batch_size: of each process, now.
        processes: now.
    """
    lines = [f"goes on from `{resume.checkpoint}` with {'these changes' if resume.changes else 'the same settings'}"]
    lines += [f"  {'.'.join(place)}: {old} → {new}" for place, (old, new) in resume.changes.items()]
    old = resume.record.setting("data.batch_size") * (resume.record.processes or processes)
    if old != (new := batch_size * processes):
        lines.append(describe_stream(resume.batches, old, new))
    return "\n".join(lines)


def describe_stream(batches: int, old: int, new: int) -> str:
    """What another number of examples in a batch makes of the stream of numbered examples.

    A checkpoint knows how many batches were used, so the number of the next example is a multiple of the new batch.

    Args:
        batches: used so far, each of all processes.
        old: examples in each of them.
        new: examples in each from now on.

    >>> describe_stream(10, 2, 8)
    'batches of 8 examples instead of 2: the data goes on with example 80 after 20, so that 60 are left out'
    >>> describe_stream(10, 8, 2)
    'batches of 2 examples instead of 8: the data goes on with example 20 after 80, so that 60 come a second time'
    """
    effect = "are left out" if new > old else "come a second time"
    return (
        f"batches of {new} examples instead of {old}: the data goes on with example {batches * new} after "
        f"{batches * old}, so that {batches * abs(new - old)} {effect}"
    )
