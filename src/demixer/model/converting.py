"""Any known checkpoint → this project's own format, with equal stems."""

from pathlib import Path

import torch

from demixer.checkpoints.hparams import write_hparams
from demixer.checkpoints.locating import WEIGHTS_NAME, locate_networks
from demixer.checkpoints.weights import write_weights
from demixer.errors import UserError
from demixer.model.pretrained import read_fitting


def convert(path: Path, output: Path, half: bool = False) -> list[Path]:
    """Convert a model and return the folders that were written.

    Raises:
        UserError: there is no such model, it does not fit a known layout, or ``output`` is in use.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"`{output}` exists already: give a new folder")
    found = [read_fitting(folder, file) for folder, file in locate_networks(path)]
    names = ["-".join(saved.hparams["targets"]) for saved in found]
    if len(set(names)) < len(names):
        raise UserError(
            f"`{path}` holds several checkpoints of the same targets ({', '.join(names)}): give one of them"
        )
    folders = [output] if len(found) == 1 else [output / name for name in names]
    for folder, saved in zip(folders, found, strict=True):
        write_weights(folder / WEIGHTS_NAME, saved.weights, torch.float16 if half else torch.float32)
        write_hparams(folder, saved.hparams)
    return folders
