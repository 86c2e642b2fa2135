"""What visitors sent and did not use yet: a file is known by a handle that only its sender has."""

import secrets
import shutil
import time
from contextlib import suppress
from pathlib import Path
from threading import Lock

from demixer.errors import UserError


class Uploads:
    """Files that wait to be used.

    Args:
        folder: where they lie, each in a folder of its own; it is made here.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._waiting: dict[str, tuple[str, Path]] = {}  # handle → owner, file
        self._lock = Lock()

    def new_folder(self) -> Path:
        """A place for what comes; it is not made yet."""
        return self.folder / secrets.token_urlsafe(24)

    def add(self, owner: str, file: Path) -> str:
        """Keep a file until its owner uses it; gives its handle."""
        handle = secrets.token_urlsafe(24)
        with self._lock:
            self._waiting[handle] = owner, file
        return handle

    def owns(self, owner: str, handle: object) -> bool:
        """Whether ``handle`` is that of a file of this owner's that waits."""
        with self._lock:
            return isinstance(handle, str) and self._waiting.get(handle, ("",))[0] == owner

    def take(self, handle: str) -> Path:
        """The file, which is the caller's from now on: a handle serves once.

        Raises:
            UserError: it was used or deleted already.
        """
        with self._lock:
            _, file = self._waiting.pop(handle, ("", None))
        if file is None:
            raise UserError("this upload is no longer here: drop the file again")
        return file

    def bytes_of(self, owner: str | None = None) -> int:
        """What waits, of one owner or of all."""
        with self._lock:
            files = [file for one, file in self._waiting.values() if owner in (None, one)]
        return sum(_size(file) for file in files)

    def sweep(self, seconds: float) -> None:
        """Delete what is older, and forget what is gone."""
        for folder in self.folder.iterdir():
            with suppress(OSError):  # what is empty goes at once
                folder.rmdir()
            with suppress(FileNotFoundError):  # it was taken over just now
                files = list(folder.rglob("*")) if folder.is_dir() else []
                if max(path.stat().st_mtime for path in (folder, *files)) < time.time() - seconds:
                    shutil.rmtree(folder) if folder.is_dir() else folder.unlink()
        with self._lock:
            self._waiting = {handle: one for handle, one in self._waiting.items() if one[1].exists()}


def _size(file: Path) -> int:
    with suppress(OSError):
        return file.stat().st_size
    return 0
