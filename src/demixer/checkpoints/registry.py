"""The public models that can be downloaded by name: ``saved_models/registry.yaml``."""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demixer.checkpoints.archive import unpack
from demixer.checkpoints.download import Expected, fetch
from demixer.checkpoints.locating import locate_networks, shipped_models
from demixer.checkpoints.locking import only_one
from demixer.checkpoints.plain_yaml import read_yaml
from demixer.checkpoints.settings import Settings
from demixer.errors import UserError, brief, shown, told
from demixer.paths import SHIPPED_MODELS_DIR

REGISTRY = SHIPPED_MODELS_DIR / "registry.yaml"
_NAME = re.compile(r"\w[\w.-]{0,59}")  # becomes a folder's name


@dataclass(frozen=True)
class Entry:
    """A downloadable model, as ``saved_models/registry.yaml`` describes its fields."""

    name: str
    about: str
    page: str
    url: str
    bytes: int
    targets: tuple[str, ...]
    licence: str
    csdr_db: Mapping[str, float]
    md5: str | None = None
    sha256: str | None = None

    @property
    def expected(self) -> Expected:
        return Expected(self.bytes, {"sha256": self.sha256, "md5": self.md5})


def read_registry(file: Path = REGISTRY) -> dict[str, Entry]:
    """Read the registry.

    Raises:
        UserError: it is missing, or an entry lacks something, or holds what it cannot.
    """
    try:
        rows = Settings(read_yaml(file))
        return {name: _entry(name, rows.section(name, needed=True)) for name in rows.values}
    except UserError as error:
        needed = ", ".join(field.name for field in fields(Entry) if field.default is not None)
        raise UserError(f"cannot read the registry `{file}` (entries need {needed}, md5 or sha256): {error}") from error


def _entry(name: object, row: Settings) -> Entry:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(f"{brief(name)} is no name of a model: letters, digits, dot, - and _ only")
    row.only([field.name for field in fields(Entry) if field.name != "name"])
    texts = {key: row.text(key) for key in ("about", "page", "url", "licence")}
    sums = {key: row.text(key).lower() for key in ("md5", "sha256") if row.values.get(key) is not None}
    if not sums:
        raise UserError(f"`{name}` has neither `md5` nor `sha256`")
    targets, scores = row.values.get("targets"), row.section("csdr_db", needed=True)
    if not isinstance(targets, list) or not all(isinstance(target, str) for target in targets):
        raise row.refuse("targets", "must be a list of names")
    csdr_db = {str(target): scores.number(target, -100, 100) for target in scores.values}
    return Entry(name, bytes=row.whole("bytes", 1, 1 << 40), targets=tuple(targets), csdr_db=csdr_db, **texts, **sums)


def download(name: str, output: Path, registry: Path = REGISTRY, pause_seconds: float = 2.0) -> Path:
    """Fetch, verify and unpack a model, unless it is there already; returns its folder.

    Of several processes that want the same model one fetches it, and the others wait.

    Raises:
        UserError: the name is unknown, the disk too small or not to be written to, or the download is not what was
            registered.
    """
    entries, folder = read_registry(registry), output / name
    if name not in entries:
        raise UserError(f"no model {name!r} to download: known are {', '.join(entries)}")
    with told(f"cannot download {name} to `{output}`"):
        if not folder.is_dir():
            output.mkdir(parents=True, exist_ok=True)
            with only_one(output / f".{name}.lock", f"downloads {name}"):
                _fetch_and_unpack(entries[name], folder, pause_seconds)
        locate_networks(folder)
    return folder


def _fetch_and_unpack(entry: Entry, folder: Path, pause_seconds: float) -> None:
    if folder.is_dir():  # another process was faster
        return
    archive = folder.with_name(f"{entry.name}.zip")
    if archive.exists():
        if differences := entry.expected.differences(archive):
            raise UserError(
                f"`{archive}` is not the file that is registered: {'; '.join(differences)}. Remove it to download it "
                "again, or correct the registry"
            )
    else:
        free, needed = shutil.disk_usage(folder.parent).free, round(2.2 * entry.bytes)
        if free < needed:
            takes = f"{entry.name} takes {needed / 1e9:.1f} GB to unpack"
            raise UserError(f"`{folder.parent}` has {free / 1e9:.1f} GB free, and {takes}")
        fetch(entry.url, archive, entry.expected, pause_seconds)
    unpack(archive, folder)
    archive.unlink()


def print_models(registry: Path = REGISTRY) -> None:
    """Say on the screen which models are here, and which can be downloaded."""
    entries = read_registry(registry)
    console = Console()
    console.print("here:", *(Text(shown(name)) for name in shipped_models()), end="\n\n")
    console.print(registry_table(entries))


def registry_table(entries: dict[str, Entry]) -> Table:
    """For the screen: what there is, how large, how good."""
    table = Table("name", "GB", "cSDR in dB")
    for name in ("what it is", "licence"):
        table.add_column(name, overflow="fold")  # an address may not lose its end
    for entry in entries.values():
        scores = " · ".join(f"{target} {value:.2f}" for target, value in entry.csdr_db.items())
        cells = (entry.name, f"{entry.bytes / 1e9:.1f}", scores, f"{entry.about} {entry.page}", entry.licence)
        table.add_row(*(Text(shown(cell)) for cell in cells))  # as it is: no brackets that colour or link
    return table
