"""What Hydra's configuration may refer to, and how objects are made of it."""

import os
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from demixer.errors import UserError, one_line
from demixer.paths import SRC_DIR
from demixer.training.run_folders import choose_run_dir, choose_sweep_dir


def build(cfg: DictConfig, **parts: Any) -> Any:
    """Hydra's ``instantiate``, with further arguments, which lets a user's mistake through as what it is."""
    try:
        return instantiate(cfg, **parts)
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, (UserError, ModuleNotFoundError)):
            cause = cause.__cause__
        if cause is None:
            raise
        if isinstance(cause, ModuleNotFoundError):
            raise UserError(f"a package is missing, see requirements-*.txt: {one_line(error)[:300]}") from error
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
OmegaConf.register_new_resolver("sweep_dir", choose_sweep_dir, use_cache=True, replace=True)
