"""The public models that can be downloaded by name: ``saved_models/registry.yaml``."""

import shutil
from dataclasses import dataclass, fields
from pathlib import Path

import yaml
from rich.console import Console
from rich.table import Table

from demixer.checkpoints.archive import unpack
from demixer.checkpoints.download import fetch
from demixer.checkpoints.locating import locate_networks, shipped_models
from demixer.errors import UserError, one_line
from demixer.paths import SHIPPED_MODELS_DIR

REGISTRY = SHIPPED_MODELS_DIR / "registry.yaml"


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


def download(name: str, output: Path, registry: Path = REGISTRY, pause_seconds: float = 2.0) -> Path:
    """Fetch, verify and unpack a model, unless it is there already; returns its folder.

    Raises:
        UserError: the name is unknown, the disk too small, or the download is not what was registered.
    """
    entries, folder = read_registry(registry), output / name
    if name not in entries:
        raise UserError(f"no model {name!r} to download: known are {', '.join(entries)}")
    if folder.exists():
        return folder
    entry, archive = entries[name], output / f"{name}.zip"
    output.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(output).free, round(2.2 * entry.bytes)
    if free < needed:
        raise UserError(f"`{output}` has {free / 1e9:.1f} GB free, and {name} takes {needed / 1e9:.1f} GB to unpack")
    if not archive.exists():
        fetch(entry.url, archive, entry.bytes, entry.md5, pause_seconds)
    unpack(archive, folder)
    archive.unlink()
    locate_networks(folder)
    return folder


def print_models(registry: Path = REGISTRY) -> None:
    """Say on the screen which models are here, and which can be downloaded."""
    entries = read_registry(registry)
    console = Console()
    console.print("here:", *shipped_models(), end="\n\n")
    console.print(registry_table(entries))


def registry_table(entries: dict[str, Entry]) -> Table:
    """For the screen: what there is, how large, how good."""
    table = Table("name", "GB", "cSDR in dB")
    for name in ("what it is", "licence"):
        table.add_column(name, overflow="fold")  # an address may not lose its end
    for entry in entries.values():
        scores = " · ".join(f"{target} {value:.2f}" for target, value in entry.csdr_db.items())
        table.add_row(entry.name, f"{entry.bytes / 1e9:.1f}", scores, f"{entry.about} {entry.page}", entry.licence)
    return table
