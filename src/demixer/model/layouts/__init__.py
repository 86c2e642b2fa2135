"""Which implementation wrote a checkpoint, and what it means in this project's terms: recognised, not asked for."""

import re
from pathlib import Path

from torch import Tensor

from demixer.checkpoints.hparams import read_hparams
from demixer.checkpoints.locating import HPARAMS_NAME
from demixer.checkpoints.weights import read_content
from demixer.errors import UserError
from demixer.model.layouts import amanteur, crlandsc, magron, msst, own
from demixer.model.layouts.saved import Checkpoint, SavedNetwork

_TARGET = re.compile(r"\w[\w -]*")
LAYOUTS = (own, magron, amanteur, crlandsc, msst)


def read_network(folder: Path, file: Path) -> SavedNetwork:
    """Read a weights file, whoever wrote it, with the ``hparams.yaml`` in its folder where there is one.

    Raises:
        UserError: the file is unsafe or damaged, of no known layout, incomplete, or uses what this project lacks.
    """
    content = read_content(file)
    hparams = read_hparams(folder) if (folder / HPARAMS_NAME).is_file() else {}
    checkpoint = Checkpoint(file, content, hparams)
    for layout in LAYOUTS:
        if layout.matches(checkpoint):
            saved = layout.read(_tensors_only(checkpoint))
            _check_targets(saved.hparams.get("targets"), file)
            return SavedNetwork(saved.hparams, {key: value.float() for key, value in saved.weights.items()})
    msst.refuse_other(file)
    known = "; ".join(layout.NAME for layout in LAYOUTS)
    some = ", ".join(map(str, list(checkpoint.state_dict)[:5]))
    raise UserError(f"the weights `{file}` have no layout that is known here ({known}): their keys begin {some}")


def _tensors_only(checkpoint: Checkpoint) -> Checkpoint:
    strange = [key for key, value in checkpoint.state_dict.items() if not isinstance(value, Tensor)]
    if strange:
        raise UserError(f"the weights `{checkpoint.file}` hold something other than tensors: {strange[:5]}")
    return checkpoint


def _check_targets(targets: object, file: Path) -> None:
    """Targets become parts of file names, so that a name may not lead out of a folder."""
    plain = isinstance(targets, list) and all(isinstance(t, str) and _TARGET.fullmatch(t) for t in targets)
    if not plain or not targets or len(set(targets)) < len(targets):
        allowed = "different ones, of letters, digits, space, - and _ only"
        raise UserError(f"`{file}` has impossible names of targets ({targets!r}): {allowed}")
