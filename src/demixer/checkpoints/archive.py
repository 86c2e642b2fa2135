"""Zip archives from strangers: every name is checked before anything is written, and the folder appears whole."""

import os
import stat
import zipfile
from pathlib import Path, PurePosixPath, PureWindowsPath

from demixer.errors import UserError, one_line
from demixer.temporary import hidden_folder

MAX_GROWTH = 20  # weights hardly compress; an archive that unfolds further is not one of weights


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip archive as ``folder``, which must not exist; folders around everything are taken off.

    Raises:
        UserError: the archive is damaged, would write outside of its folder, holds links, or unfolds beyond measure.
    """
    try:
        with zipfile.ZipFile(archive) as content, hidden_folder(folder.parent) as inner:
            _check(content, archive)
            content.extractall(inner)
            while len(inside := list(inner.iterdir())) == 1 and inside[0].is_dir():
                inner = inside[0]
            os.replace(inner, folder)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        raise UserError(f"cannot unpack `{archive}`: {one_line(error)}") from error


def _check(content: zipfile.ZipFile, archive: Path) -> None:
    total = sum(entry.file_size for entry in content.infolist())
    if total > MAX_GROWTH * archive.stat().st_size + (1 << 20):
        raise UserError(f"refused `{archive}`: it would unfold to {total} bytes")
    for entry in content.infolist():
        name = entry.filename
        windows = PureWindowsPath(name)
        outside = ".." in windows.parts or windows.drive or windows.root or PurePosixPath(name).is_absolute()
        if outside or not name.isprintable():
            raise UserError(f"refused `{archive}`: it would write outside of its folder, to `{name}`")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise UserError(f"refused `{archive}`: `{name}` is a link")
