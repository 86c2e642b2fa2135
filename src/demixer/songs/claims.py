"""Who works on which song: a lock of the operating system, which ends with its process, however that ends.

Beside a song's stems, ``.{key}.lock`` is locked while they are made in ``.{key}-{…}.part``. Whoever gets the lock may
therefore remove that folder: it is a killed process's. Where the file system knows no locks, ``.{key}.owner`` is one as
long as it exists; it names its owner's host and process, so that a dead one's is not heeded.
"""

import errno
import re
import shutil
import time
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

DAY_SECONDS = 24 * 3600
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)
_CLAIM = re.compile(r"\.([0-9a-f]{16})(\.lock|\.owner|-[0-9a-f]{12}\.part)")
_OWNERLESS = re.compile(r"\.[0-9a-f]{12}\.part(\.\w+)?")  # of versions that made no claims


@contextmanager
def held(path: Path, wait: bool = False) -> Iterator[bool]:
    """Hold a lock, which is a file as long as it is held.

    Args:
        path: the file.
        wait: whether to wait until another process lets it go.

    Yields:
        Whether it is held: without ``wait``, another process may have it.

    Raises:
        OSError: the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = _acquired(path, wait)
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        with suppress(PermissionError):  # Windows removes no open file
            path.unlink(missing_ok=True)  # before it is let go: who waits for it sees that, and makes a new one
        lock.release()


def claim_of(folder: Path, key: str) -> Path:
    """The lock of a song, by the folder of its stems and its key."""
    return folder / f".{key}.lock"


def sweep(folders: Iterable[Path]) -> None:
    """Remove what killed processes left in the folders of stems; a living one's is left alone."""
    for folder in folders:
        with suppress(OSError):  # what cannot be removed does no harm; that a folder takes no stems its songs will tell
            _sweep(folder)


def _sweep(folder: Path) -> None:
    left = [path for path in folder.iterdir() if path.name.startswith(".")]
    for key in {match[1] for path in left if (match := _CLAIM.fullmatch(path.name))}:
        with held(claim_of(folder, key)) as mine:
            if mine:
                remove_parts(folder, key)
    for path in left:
        if _OWNERLESS.fullmatch(path.name) and time.time() - path.lstat().st_mtime > DAY_SECONDS:
            _remove(path)


def remove_parts(folder: Path, key: str) -> None:
    """Remove the unfinished stems of a song, whose lock is held."""
    for path in folder.glob(f".{key}-*.part"):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _acquired(path: Path, wait: bool) -> BaseFileLock:
    """The lock, held.

    Raises:
        Timeout: another process has it.
    """
    with warnings.catch_warnings(action="ignore"):  # that it takes the file itself for a lock, too
        try:
            return FileLock(path, is_singleton=False).acquire(blocking=wait).lock
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            return SoftFileLock(path.with_suffix(".owner"), is_singleton=False).acquire(blocking=wait).lock
