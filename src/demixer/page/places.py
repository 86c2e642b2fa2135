"""The temporary folder of a page: it goes with its process, and if that was killed, when another page starts."""

import os
import shutil
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

try:
    import fcntl
except ImportError:  # Windows: there only a page that ends by itself removes its folder
    fcntl = None

LOCK_NAME = "lock"  # held as long as the process lives, however that ends


class Place:
    """A new temporary folder that nobody else may look into, and a thread that keeps it tidy.

    Args:
        prefix: its name begins so; folders of the same prefix whose process is gone are deleted.
    """

    def __init__(self, prefix: str) -> None:
        parent = Path(tempfile.gettempdir())
        if fcntl:
            for folder in parent.glob(f"{prefix}*"):
                with telling():
                    _delete_if_abandoned(folder)
        self.folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent)).resolve()
        hidden = self.folder / f".{LOCK_NAME}"
        self._lock = os.open(hidden, os.O_CREAT | os.O_RDWR, 0o600)
        if fcntl:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        os.replace(hidden, self.folder / LOCK_NAME)  # locked before anybody sees it
        self._closed, self._sweeper = Event(), None

    def sweep_every(self, seconds: float, sweep: Callable[[], None]) -> None:
        """Call ``sweep`` again and again; what it raises is told, and the next call comes all the same."""

        def work() -> None:
            while not self._closed.wait(seconds):
                with telling():
                    sweep()

        self._sweeper = Thread(target=work, name="sweeper", daemon=True)
        self._sweeper.start()

    def close(self) -> None:
        """End the thread, delete the folder."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._sweeper is not None:
            self._sweeper.join()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


@contextmanager
def telling() -> Iterator[None]:
    """Let an exception in the block be told on stderr, and go on."""
    try:
        yield
    except Exception:
        traceback.print_exc()


def _delete_if_abandoned(folder: Path) -> None:
    """Delete a folder whose lock nobody holds. One without a lock is being made, or not ours."""
    try:
        lock = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:  # it has none, is another user's, or has gone
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(lock).st_uid == os.getuid() and not folder.is_symlink():
            shutil.rmtree(folder)
    except BlockingIOError:  # its process lives
        pass
    finally:
        os.close(lock)
