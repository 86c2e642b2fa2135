"""Where a run's folder is: every run has one of its own, which all of its processes share and nobody else enters."""

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path

from torch.distributed import TCPStore

from demixer.checkpoints.hparams import read_hparams
from demixer.checkpoints.locating import LAST_NAME, RUN_WEIGHTS_DIR
from demixer.errors import UserError
from demixer.paths import LOGS_DIR

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

RUNS_DIR = LOGS_DIR / "bandsplitrnn"
LOCK_NAME = ".lock"


def choose_run_dir(ckpt_path: str | None, targets: Sequence[str], given: Sequence[str] = ()) -> str:
    """The folder of the run that starts: a new one, or on resuming the one that the checkpoint belongs to.

    Args:
        ckpt_path: None for a new run; "last" for the newest run; else a file in ``weights/``.
        targets: names of what is trained.
        given: the command line's overrides. Where they name a target, "last" is the newest run with these targets.
    """
    if ckpt_path is None:
        return str(new_folder())
    if ckpt_path != "last":
        return str(Path(ckpt_path).absolute().parent.parent)
    runs = [file.parent.parent for file in RUNS_DIR.rglob(f"{RUN_WEIGHTS_DIR}/{LAST_NAME}")]
    if any(override.lstrip("+").startswith(("target=", "target.targets=")) for override in given):
        runs = [run for run in runs if _targets(run) == list(targets)]
    newest = max(runs, key=lambda run: (run / RUN_WEIGHTS_DIR / LAST_NAME).stat().st_mtime, default=None)
    return str(new_folder() if newest is None else newest)  # train() refuses a new one: Hydra would show a traceback


def choose_sweep_dir(ckpt_path: str | None) -> str:
    """The folder of a multirun, which has one for each of its runs: a new one, or for "last" the newest multirun's."""
    sweeps = [file.parent for file in RUNS_DIR.glob("*/multirun.yaml")] if ckpt_path == "last" else []
    newest = max(sweeps, key=lambda sweep: (sweep / "multirun.yaml").stat().st_mtime, default=None)
    return str(newest or new_folder())


def new_folder() -> Path:
    """Make a folder that nobody else has, named after the time; processes that were started together get the same.

    Those of torchrun meet at its store. Those of ``srun`` cannot meet before they train, so their job gives the name.
    """
    told = os.environ
    if told.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        store = TCPStore(told["MASTER_ADDR"], int(told["MASTER_PORT"]), is_master=False)
        if told["RANK"] == "0" and not store.check(["demixer/run_dir"]):  # it is there after a restart
            store.set("demixer/run_dir", str(_make_folder()))
        return Path(store.get("demixer/run_dir").decode())
    if int(told.get("SLURM_NTASKS", 1)) > 1 and "SLURM_STEP_ID" in told:
        folder = RUNS_DIR / f"slurm_{told['SLURM_JOB_ID']}_{told['SLURM_STEP_ID']}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return _make_folder()


def _make_folder() -> Path:
    name = datetime.now().astimezone().strftime("%Y-%m-%d_%H-%M-%S")
    for number in count(1):
        folder = RUNS_DIR / (name if number == 1 else f"{name}_{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise AssertionError  # count() does not end


def is_first_process() -> bool:
    """Whether this process, by what started it, is the first of a run; the others find the folder claimed."""
    told = os.environ
    if "RANK" in told:  # torchrun
        return told["RANK"] == "0"
    if "LOCAL_RANK" in told:  # Lightning's own children
        return (told["LOCAL_RANK"], told.get("NODE_RANK", "0")) == ("0", "0")
    return told.get("SLURM_PROCID", "0") == "0"


@contextmanager
def claimed(run_dir: Path, fresh: bool) -> Iterator[None]:
    """Keep a run's folder for this process while it trains.

    Args:
        run_dir: the folder.
        fresh: whether the run begins, in a folder that must hold no other's weights.

    Raises:
        UserError: another run has left its weights there, or is training there now.
    """
    if not is_first_process():
        yield
        return
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / LOCK_NAME).open("w") as lock:
        if fcntl is not None:
            _lock(lock.fileno(), run_dir)
        if fresh and any((run_dir / RUN_WEIGHTS_DIR).glob("*.ckpt")):
            raise UserError(
                f"`{run_dir}` holds the weights of another run: go on with that one by ckpt_path=last, or begin this "
                "one elsewhere by hydra.run.dir=FOLDER"
            )
        yield


def _lock(file: int, run_dir: Path) -> None:
    try:
        fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # this process's alone: readers of data do not inherit it
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EAGAIN):
            return  # a file system without locks
        raise UserError(f"another process is training in `{run_dir}`: wait for its end, or end it") from error


def _targets(run_dir: Path) -> list[str]:
    try:
        return list(read_hparams(run_dir)["targets"])
    except (UserError, KeyError):
        return []
