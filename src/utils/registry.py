"""The public models that can be downloaded by name: ``saved_models/registry.yaml``."""

from dataclasses import dataclass, fields
from pathlib import Path

import yaml
from rich.table import Table

from utils.errors import UserError, one_line
from utils.paths import SAVED_MODELS_DIR

REGISTRY = SAVED_MODELS_DIR / "registry.yaml"


@dataclass(frozen=True)
class Entry:
    """A downloadable model, as ``saved_models/registry.yaml`` describes its fields."""

    name: str
    about: str
    page: str
    url: str
    bytes: int
    md5: str
    targets: tuple[str, ...]
    licence: str
    csdr_db: dict[str, float]


def read_registry(file: Path = REGISTRY) -> dict[str, Entry]:
    """Read the registry.

    Raises:
        UserError: it is missing, or an entry lacks something.
    """
    try:
        rows = yaml.safe_load(file.read_text(encoding="utf-8"))
        return {name: Entry(name=name, **row | {"targets": tuple(row["targets"])}) for name, row in rows.items()}
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        needed = ", ".join(field.name for field in fields(Entry))
        raise UserError(f"cannot read the registry `{file}` (entries need {needed}): {one_line(error)}") from error


def registry_table(entries: dict[str, Entry]) -> Table:
    """For the screen: what there is, how large, how good."""
    table = Table("name", "GB", "cSDR in dB", "what it is", "licence")
    for entry in entries.values():
        scores = " · ".join(f"{target} {value:.2f}" for target, value in entry.csdr_db.items())
        table.add_row(entry.name, f"{entry.bytes / 1e9:.1f}", scores, f"{entry.about} {entry.page}", entry.licence)
    return table
