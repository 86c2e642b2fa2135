"""What this program wrote into a folder, from what, and how: ``demix-catalogue.jsonl``, beside the stems.

A line is a JSON object, for each song that was separated or failed. So it is told which stems are this program's own,
whether they are still what was written, and whether the same call would write the same again. Files are named as they
lie in the folder, which may be moved as a whole. Lines are only ever added; a line that a kill has cut is passed over.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from io import RawIOBase
from pathlib import Path
from typing import Any, Self

from demixer.songs.claims import held

MANIFEST_NAME = "demix-catalogue.jsonl"
LOCK_NAME = ".demix-catalogue.lock"


@dataclass(frozen=True)
class FileState:
    """A file as it was: its size, when it was last changed, and of stems a sum of the content."""

    bytes: int
    mtime_ns: int
    sha256: str | None = None

    @classmethod
    def of(cls, path: Path, summed: bool = False) -> Self:
        """The state of a file now.

        Raises:
            OSError: it cannot be read.
        """
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, _sha256(path) if summed else None)

    def is_of(self, path: Path) -> bool:
        """Whether the file is still the same; of a copy, which is younger, the content tells."""
        status = path.stat()
        if status.st_size != self.bytes:
            return False
        return status.st_mtime_ns == self.mtime_ns or (self.sha256 is not None and _sha256(path) == self.sha256)


@dataclass(frozen=True)
class Entry:
    """A line of the manifest.

    Args:
        song: the file, as the call named it.
        state: done, damaged (separated as far as it goes) or failed.
        time: when it ended, in UTC.
        took_seconds: how long it took.
        seconds: of audio, where the file tells it.
        source: the song's file.
        model: ``name`` and ``sha256`` of the model.
        settings: all else that the stems depend on.
        version: of this program.
        stems: {stem: ``file`` and its :class:`FileState`}.
        damage: what is wrong with the song, if anything.
        error: why it failed, if it did.
        notes: what else was told about it.
    """

    song: str
    state: str
    time: str
    took_seconds: float
    seconds: float | None = None
    source: FileState | None = None
    model: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: str = ""
    stems: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    damage: str | None = None
    error: str | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, line: bytes) -> Self | None:
        """The entry of a line; None where a kill or somebody's editor made something else of it."""
        try:
            content = json.loads(line)
            entry = cls(**{**content, "source": content["source"] and FileState(**content["source"])})
            entry.states()
        except (ValueError, TypeError, KeyError, AttributeError):
            return None
        return entry

    def states(self) -> dict[str, FileState]:
        """{name of a stem's file: its state}."""
        return {
            stem["file"]: FileState(stem["bytes"], stem["mtime_ns"], stem["sha256"]) for stem in self.stems.values()
        }


class Manifest:
    """The manifest of a folder; what other processes add is seen by :meth:`refresh`."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / MANIFEST_NAME
        self._read_bytes = 0
        self._entries: dict[str, list[Entry]] = {}

    def refresh(self) -> Self:
        """Read the lines that were added since the last time."""
        try:
            with self.path.open("rb") as file:
                if os.fstat(file.fileno()).st_size < self._read_bytes:  # it was replaced
                    self._read_bytes, self._entries = 0, {}
                file.seek(self._read_bytes)
                whole, newline, _ = file.read().rpartition(b"\n")
        except OSError:  # where nothing can be read, nothing is this program's own
            self._read_bytes, self._entries = 0, {}
            return self
        self._read_bytes += len(whole + newline)
        for entry in filter(None, map(Entry.from_json, whole.splitlines())):
            for name in entry.states():
                self._entries.setdefault(name, []).insert(0, entry)
        return self

    def lists(self, name: str) -> bool:
        """Whether a file of the folder is a stem that this program wrote."""
        return name in self._entries

    def entries_of(self, name: str) -> list[Entry]:
        """The entries that name a stem's file, the latest first."""
        return self._entries.get(name, [])

    def append(self, entry: Entry) -> None:
        """Add a line, in one piece: also where other processes do the same, and after a line that a kill has cut.

        Raises:
            OSError: it cannot be written.
        """
        line = json.dumps(entry.to_json()).encode() + b"\n"
        with held(self.path.with_name(LOCK_NAME), wait=True), self.path.open("a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END) and not _ends_whole(file):
                line = b"\n" + line
            if file.write(line) != len(line):
                raise OSError(f"`{self.path}` cannot be written: no space left")


class Manifests:
    """The manifests of all folders, each read once."""

    def __init__(self) -> None:
        self._by_folder: dict[Path, Manifest] = {}

    def of(self, folder: Path) -> Manifest:
        """A folder's manifest, as it was when it was first asked for."""
        if folder not in self._by_folder:
            self._by_folder[folder] = Manifest(folder).refresh()
        return self._by_folder[folder]


def _ends_whole(file: RawIOBase) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) == b"\n"


def now() -> str:
    """The time in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
