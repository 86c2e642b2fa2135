"""What Hydra's configuration may refer to, and where a run's folder is."""

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from demixer.checkpoints.hparams import read_hparams
from demixer.checkpoints.locating import LAST_NAME, RUN_WEIGHTS_DIR
from demixer.errors import UserError
from demixer.paths import LOGS_DIR, SRC_DIR

RUNS_DIR = LOGS_DIR / "bandsplitrnn"


def choose_run_dir(ckpt_path: str | None, targets: Sequence[str]) -> str:
    """The folder of the run that starts: a new one, or on resuming the one that the checkpoint belongs to.

    Args:
        ckpt_path: None for a new run; "last" for the newest run with these targets; else a file in ``weights/``.
        targets: names of what is trained.
    """
    new = str(RUNS_DIR / datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S"))
    if ckpt_path is None:
        return new
    if ckpt_path != "last":
        return str(Path(ckpt_path).absolute().parent.parent)
    runs = [file.parent.parent for file in RUNS_DIR.rglob(f"{RUN_WEIGHTS_DIR}/{LAST_NAME}")]
    same = [run for run in runs if list(read_hparams(run)["targets"]) == list(targets)]
    newest = max(same, key=lambda run: (run / RUN_WEIGHTS_DIR / LAST_NAME).stat().st_mtime, default=None)
    return new if newest is None else str(newest)  # without one, train() says so: Hydra would show a traceback


def build(cfg: DictConfig, **parts: Any) -> Any:
    """Hydra's ``instantiate``, with further arguments, which lets a user's mistake through as what it is."""
    try:
        return instantiate(cfg, **parts)
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, UserError):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from None


def build_all(cfg: DictConfig) -> list[Any]:
    """The objects of a group of named ones; a name set to null is left out."""
    return [one for one in build(cfg).values() if one is not None]


def let_jobs_import() -> None:
    """Put ``src/`` on PYTHONPATH, for the processes that a launcher starts: they are no scripts of this folder."""
    others = [place for place in os.environ.get("PYTHONPATH", "").split(os.pathsep) if place not in ("", str(SRC_DIR))]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(SRC_DIR), *others])


OmegaConf.register_new_resolver("src_dir", lambda: str(SRC_DIR), replace=True)
OmegaConf.register_new_resolver("run_dir", choose_run_dir, use_cache=True, replace=True)
