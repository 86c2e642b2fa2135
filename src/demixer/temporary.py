"""How files and folders come into being whole or not at all: under a hidden name beside their place, then renamed."""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from demixer.errors import UserError, shown


def hidden_name(path: Path, suffix: str = "", key: str = "") -> Path:
    """A new hidden name beside ``path``; short, since a long ``path`` may already fill the file system's 255 bytes."""
    return path.with_name(f".{key}{'-' * bool(key)}{uuid.uuid4().hex[:12]}.part{suffix}")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` on success, remove it on any failure.

    The temporary name keeps the suffix, since writers choose the format by it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = hidden_name(path, path.suffix)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def hidden_folder(parent: Path, key: str = "") -> Iterator[Path]:
    """A hidden folder in ``parent``, for what is to be renamed to a place beside it; gone at the end.

    After a kill it stays; ``key``, which its name begins with, then tells whose it was.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = hidden_name(parent / "_", key=key)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Give a hidden folder; rename it to ``path``, which must not exist, on success, remove it on any failure."""
    with hidden_folder(path.parent) as folder:
        yield folder
        os.replace(folder, path)


def check_writable(folder: Path) -> None:
    """Make sure, before the work begins, that its results can be written.

    Raises:
        UserError: the folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror if folder.is_dir() or not folder.exists() else "it is a file"
        raise UserError(f"cannot write to the folder `{shown(folder)}`: {reason}: choose another (-o)") from error
