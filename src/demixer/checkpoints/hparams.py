"""A model's settings: ``hparams.yaml``, read and written as plain data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from demixer.checkpoints.locating import HPARAMS_NAME
from demixer.checkpoints.plain_yaml import read_yaml
from demixer.errors import UserError, told
from demixer.temporary import atomic_path


def read_hparams(folder: Path) -> dict[str, Any]:
    """Read ``hparams.yaml`` as plain data: no tag, interpolation or ``_target_`` in it has any effect.

    Raises:
        UserError: it is missing or no mapping.
    """
    file = folder / HPARAMS_NAME
    try:
        hparams = read_yaml(file)
    except UserError as error:
        raise UserError(f"cannot read the model's settings `{file}`: {error}") from error
    if not isinstance(hparams, dict):
        raise UserError(f"`{file}` must hold the model's settings as a mapping")
    return hparams


def write_hparams(folder: Path, hparams: Mapping[str, Any]) -> None:
    """Write ``hparams.yaml``."""
    file = folder / HPARAMS_NAME
    with told(f"cannot write `{file}`"), atomic_path(file) as temporary:
        temporary.write_text(yaml.safe_dump(dict(hparams), sort_keys=False, allow_unicode=True), encoding="utf-8")
