"""What there is to download, and what people call it; ``saved_models/registry.yaml`` explains its fields."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from demixer.checkpoints.download import Expected
from demixer.checkpoints.plain_yaml import read_yaml
from demixer.checkpoints.settings import Settings
from demixer.errors import UserError, brief
from demixer.paths import SHIPPED_MODELS_DIR

REGISTRY = SHIPPED_MODELS_DIR / "registry.yaml"
UNKNOWN = "unknown"  # a licence of which its author says nothing
_NAME = re.compile(r"\w[\w.-]{0,59}")  # becomes a folder's name
_FILE = re.compile(r"\w[\w.-]{0,119}\.(zip|ckpt|chpt|pt|pth|safetensors|yaml)")


@dataclass(frozen=True)
class RemoteFile:
    """A file to download."""

    name: str
    url: str
    bytes: int
    md5: str | None = None
    sha256: str | None = None

    @property
    def expected(self) -> Expected:
        return Expected(self.bytes, {"sha256": self.sha256, "md5": self.md5})


@dataclass(frozen=True)
class Entry:
    """A downloadable model."""

    name: str
    about: str
    by: str
    page: str
    architecture: str
    targets: tuple[str, ...]
    licence: str
    verified: bool
    read_in: Mapping[str, str]
    files: tuple[RemoteFile, ...]
    scores_db: Mapping[str, float] = field(default_factory=dict)
    measured: str = ""

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def size(self) -> str:
        return f"{max(1, round(self.bytes / 1e6))} MB"


@dataclass(frozen=True)
class Name:
    """What people call a model, or some of its stems; no stems are all of them."""

    model: str
    purpose: str
    stems: tuple[str, ...] = ()


@dataclass(frozen=True)
class Registry:
    """The downloadable models, and the names for people: of some of them, and of what is shipped."""

    models: Mapping[str, Entry]
    names: Mapping[str, Name]

    def meaning(self, name: str) -> Name | None:
        """What a name means, whether people or the registry call a model so; None: nothing."""
        return self.names.get(name) or (Name(name, self.models[name].about) if name in self.models else None)

    def near(self, name: str) -> str:
        """A hint at the names that are nearest to one that is none."""
        near = get_close_matches(name, [*self.names, *self.models], n=3, cutoff=0.5)
        known = f"known are {', '.join(self.names)} and those of demix --list-models"
        return f"did you mean {' or '.join(near)}?" if near else known


def read_registry(file: Path | None = None) -> Registry:
    """Read the registry: this program's, or another.

    Raises:
        UserError: it is missing, or an entry lacks something, or holds what it cannot.
    """
    file = file or REGISTRY
    try:
        content = Settings(read_yaml(file))
        content.only(["models", "names", "sources"])
        models, names = content.section("models", needed=True), content.section("names")
        sources = content.section("sources").values
        return Registry(
            {_checked(name): _entry(name, models.section(name, needed=True), sources) for name in models.values},
            {_checked(name): _name(names.section(name, needed=True)) for name in names.values},
        )
    except UserError as error:
        raise UserError(f"cannot read the registry `{file}`: {error}") from error


def _name(row: Settings) -> Name:
    row.only([one.name for one in fields(Name)])
    return Name(_checked(row.text("model")), row.text("purpose"), _texts(row, "stems") if "stems" in row.values else ())


def _entry(name: str, row: Settings, sources: Mapping[str, Any]) -> Entry:
    row.only([one.name for one in fields(Entry) if one.name != "name"])
    texts = {key: row.text(key) for key in ("about", "by", "page", "architecture", "licence")}
    scores, read_in = row.section("scores_db"), row.section("read_in", needed=True)
    told = {key: str(sources[read_in.choice(key, sources)]) for key in read_in.values}
    files = row.values.get("files")
    if not isinstance(files, list) or not files:
        raise row.refuse("files", "must be a list of files")
    return Entry(
        name,
        **texts,
        targets=_texts(row, "targets"),
        verified=row.choice("verified", (True, False)),
        read_in=told,
        files=tuple(_file(Settings(file, row.where, f"{row.path}files.")) for file in files),
        scores_db={str(target): scores.number(target, -100, 100) for target in scores.values},
        measured=row.text("measured") if scores.values else "",
    )


def _file(row: Settings) -> RemoteFile:
    row.only([one.name for one in fields(RemoteFile)])
    name = row.text("name")
    if not _FILE.fullmatch(name):
        raise row.refuse("name", "must be the name of an archive (.zip), of weights or of a .yaml")
    sums = {key: row.text(key).lower() for key in ("md5", "sha256") if row.values.get(key) is not None}
    return RemoteFile(name, row.text("url"), row.whole("bytes", 1, 1 << 40), **sums)


def _checked(name: object) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(f"{brief(name)} is no name of a model: letters, digits, dot, - and _ only")
    return name


def _texts(row: Settings, key: str) -> tuple[str, ...]:
    values = row.values.get(key)
    if not isinstance(values, list) or not values or not all(isinstance(value, str) for value in values):
        raise row.refuse(key, "must be a list of names")
    return tuple(values)
