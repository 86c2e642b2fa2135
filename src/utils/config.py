"""What Hydra's configuration may refer to, and where a run's folder is."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from omegaconf import OmegaConf

from utils.checkpoints import LAST_NAME, RUN_WEIGHTS_DIR, read_hparams
from utils.errors import UserError
from utils.paths import LOGS_DIR, SRC_DIR

RUNS_DIR = LOGS_DIR / "bandsplitrnn"


def choose_run_dir(ckpt_path: str | None, targets: Sequence[str]) -> str:
    """The folder of the run that starts: a new one, or on resuming the one that the checkpoint belongs to.

    Args:
        ckpt_path: None for a new run; "last" for the newest run with these targets; else a file in ``weights/``.
        targets: names of what is trained.
    """
    if ckpt_path is None:
        return str(RUNS_DIR / datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S"))
    if ckpt_path != "last":
        return str(Path(ckpt_path).absolute().parent.parent)
    runs = [file.parent.parent for file in RUNS_DIR.rglob(f"{RUN_WEIGHTS_DIR}/{LAST_NAME}")]
    same = [run for run in runs if list(read_hparams(run)["targets"]) == list(targets)]
    if not same:
        raise UserError(f"`ckpt_path` (=last): no run in `{RUNS_DIR}` with the targets {list(targets)} has a {LAST_NAME}")
    return str(max(same, key=lambda run: (run / RUN_WEIGHTS_DIR / LAST_NAME).stat().st_mtime))


OmegaConf.register_new_resolver("src_dir", lambda: str(SRC_DIR), replace=True)
OmegaConf.register_new_resolver("run_dir", choose_run_dir, use_cache=True, replace=True)
