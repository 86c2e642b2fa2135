"""Zip archives from strangers: every name is checked before anything is written, and the folder appears whole."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath

from demixer.errors import UserError, of_system, one_line, shown
from demixer.temporary import hidden_folder

MAX_GROWTH = 20  # weights hardly compress; an archive that unfolds further is not one of weights
MOST_ENTRIES = 10_000  # each is a file on the disk; the public models have five


@contextmanager
def zip_errors() -> Iterator[None]:
    """Whatever the reader of zip archives falls over in this block is damage of the archive.

    Raises:
        UserError: the message is the reason alone.
    """
    try:
        yield
    except UserError:
        raise
    except OSError as error:
        raise UserError(of_system(error)) from error
    except (
        *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error, EOFError),
        *(NotImplementedError, RuntimeError, ValueError, LookupError, ArithmeticError),
    ) as error:
        raise UserError(f"it is no zip archive, or damaged ({one_line(error)[:150]})") from error


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip archive as ``folder``, which must not exist; folders around everything are taken off.

    Raises:
        UserError: the archive is damaged, would write outside of its folder, holds links, or unfolds beyond measure; or
            the disk does not take it.
    """
    try:
        with hidden_folder(folder.parent) as inner:
            with zip_errors(), zipfile.ZipFile(archive) as content:
                _check(content, archive)
                content.extractall(inner)
            while len(inside := list(inner.iterdir())) == 1 and inside[0].is_dir():
                inner = inside[0]
            os.replace(inner, folder)
    except OSError as error:
        raise UserError(f"cannot unpack `{archive}` as `{folder}`: {of_system(error)}") from error
    except UserError as error:
        raise UserError(f"cannot unpack `{archive}`: {error}") from error


def _check(content: zipfile.ZipFile, archive: Path) -> None:
    entries = content.infolist()
    if len(entries) > MOST_ENTRIES:
        raise UserError(f"refused: it holds {len(entries)} files")
    total = sum(entry.file_size for entry in entries)
    if total > MAX_GROWTH * archive.stat().st_size + (1 << 20):
        raise UserError(f"refused: it would unfold to {total} bytes")
    for entry in entries:
        name = entry.filename
        windows = PureWindowsPath(name)
        outside = ".." in windows.parts or windows.drive or windows.root or PurePosixPath(name).is_absolute()
        if outside or not name.isprintable():
            raise UserError(f"refused: it would write outside of its folder, to `{shown(name)[:100]}`")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise UserError(f"refused: `{shown(name)[:100]}` is a link")
