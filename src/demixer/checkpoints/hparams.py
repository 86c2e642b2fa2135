"""A model's settings: ``hparams.yaml``, read and written as plain data."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from demixer.checkpoints.locating import HPARAMS_NAME
from demixer.errors import UserError, one_line
from demixer.temporary import atomic_path


def read_hparams(folder: Path) -> dict[str, Any]:
    """Read ``hparams.yaml`` as plain data: no tag, interpolation or ``_target_`` in it has any effect.

    Raises:
        UserError: it is missing or no mapping.
    """
    file = folder / HPARAMS_NAME
    try:
        hparams = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the model's settings `{file}`: {one_line(error)}") from error
    if not isinstance(hparams, dict):
        raise UserError(f"`{file}` must hold the model's settings as a mapping")
    return hparams


def write_hparams(folder: Path, hparams: Mapping[str, Any]) -> None:
    """Write ``hparams.yaml``."""
    with atomic_path(folder / HPARAMS_NAME) as temporary:
        temporary.write_text(yaml.safe_dump(dict(hparams), sort_keys=False, allow_unicode=True), encoding="utf-8")
