"""Which implementation wrote a checkpoint, and what it means in this project's terms: recognised, not asked for."""

import re
from pathlib import Path

from torch import Tensor

from demixer.checkpoints.hparams import read_hparams
from demixer.checkpoints.locating import HPARAMS_NAME
from demixer.checkpoints.weights import read_content
from demixer.errors import UserError, brief
from demixer.model.layouts import amanteur, crlandsc, magron, msst, own
from demixer.model.layouts.saved import Checkpoint, SavedNetwork

MOST_TARGETS = 64  # each is a mask estimator to build; orchestras are split into a dozen
_TARGET = re.compile(r"\w[\w -]{0,59}")
LAYOUTS = (own, magron, amanteur, crlandsc, msst)


def read_network(folder: Path, file: Path) -> SavedNetwork:
    """Read a weights file, whoever wrote it, with the ``hparams.yaml`` in its folder where there is one.

    Returns:
        The network; what its settings say of it and the weights' shapes are not compared yet.

    Raises:
        UserError: the file is unsafe or damaged, of no known layout, incomplete, or uses what this project lacks.
    """
    content = read_content(file)
    hparams = read_hparams(folder) if (folder / HPARAMS_NAME).exists() else {}
    checkpoint = Checkpoint(file, content, hparams)
    _check_keys(checkpoint)
    for layout in LAYOUTS:
        if layout.matches(checkpoint):
            _check_tensors(checkpoint)
            try:
                saved = layout.read(checkpoint)
            except UserError as error:
                raise error if str(file) in str(error) else UserError(f"`{file}`: {error}") from error
            _check_targets(saved.hparams.get("targets"), file)
            return saved
    msst.refuse_other(file)
    known = "; ".join(layout.NAME for layout in LAYOUTS)
    some = ", ".join(key[:100] for key in list(checkpoint.state_dict)[:5])
    raise UserError(f"the weights `{file}` have no layout that is known here ({known}): their keys begin {some}")


def _check_keys(checkpoint: Checkpoint) -> None:
    strange = [key for key in checkpoint.state_dict if not isinstance(key, str)]
    if strange:
        raise UserError(f"the weights `{checkpoint.file}` have keys that are no names: {brief(strange)}")


def _check_tensors(checkpoint: Checkpoint) -> None:
    strange = [key for key, value in checkpoint.state_dict.items() if not isinstance(value, Tensor)]
    if strange:
        raise UserError(f"the weights `{checkpoint.file}` hold something other than tensors: {brief(strange)}")


def _check_targets(targets: object, file: Path) -> None:
    """Targets become parts of file names, so that a name may not lead out of a folder, or fill a file system's 255."""
    plain = isinstance(targets, list) and all(isinstance(t, str) and _TARGET.fullmatch(t) for t in targets)
    if not plain or not targets or len(set(targets)) < len(targets) or len(targets) > MOST_TARGETS:
        allowed = f"1 to {MOST_TARGETS} different ones of at most 60 letters, digits, space, - and _"
        raise UserError(f"`{file}` has impossible names of targets ({brief(targets)}): {allowed}")
