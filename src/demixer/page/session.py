"""One visitor: his song, his job, and their folder."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import RLock

from demixer.errors import UserError, one_line, shown
from demixer.page.jobs import Engine, Job, Order
from demixer.page.limits import Facts, Limits

CANCEL_SECONDS = 60.0  # a batch of windows takes less, even on a slow machine


class Session:
    """One visitor: his song, his job, and their folder.

    Args:
        folder: his own; its name is a secret.
        owner: whose quotas it counts for.
        admission: holds, or lets wait for, the start of a job that needs so many bytes.

    Attributes:
        used: when it was, on the monotonic clock.
        left: when its page was closed, if it was.
    """

    def __init__(self, folder: Path, owner: str, admission: Callable[["Session", float], Iterator[None]]) -> None:
        self.folder, self.owner = folder, owner
        self.song: Path | None = None
        self.facts: Facts | None = None
        self.job: Job | None = None
        self.left: float | None = None
        self._admission, self._jobs, self._needed = admission, 0, 0.0
        self._lock = RLock()  # one thing at a time
        self.touch()

    def touch(self) -> None:
        """Somebody is here."""
        self.used, self.left = time.monotonic(), None

    def receive(self, upload: Path, limits: Limits) -> Facts:
        """Take an uploaded file over, in place of what was here before, which stays where the file is refused.

        Raises:
            UserError: it cannot be used; the message names it.
        """
        with self._lock:
            try:
                facts = limits.check(upload)
                self.clear()
                song = self.folder / "song" / upload.name
                song.parent.mkdir(parents=True)
                os.replace(upload, song)
            except (UserError, OSError) as error:
                reason = getattr(error, "strerror", None) or one_line(error)
                raise UserError(f"`{shown(upload.name)}`: {reason}") from error
            finally:
                upload.unlink(missing_ok=True)
                with suppress(OSError):  # not empty: other songs came with it
                    upload.parent.rmdir()
            self.song, self.facts = song, facts
            return facts

    def start(self, order: Order, engine: Engine) -> Job:
        """Begin to separate the song.

        Raises:
            UserError: there is none, or one is being separated.
            QuotaError: there is no room for its stems, or its visitor has a song in line already.
        """
        with self._lock:
            if self.song is None:
                raise UserError("drop a song first")
            if self.is_busy():
                raise UserError("your song is being separated: wait for it, or cancel it")
            needed = engine.limits.stem_bytes(self.facts, len(order.stems))
            with self._admission(self, needed):
                self._clear_stems()
                self._jobs += 1
                self._needed = needed
                self.job = Job(self.song, self.folder / f"stems{self._jobs}", order, engine)
                self.job.start()
            return self.job

    def is_busy(self) -> bool:
        return self.job is not None and not self.job.ended.is_set()

    def bytes(self) -> float:
        """What its files take, or may come to take while a job writes them."""
        return folder_bytes(self.folder) if not self.is_busy() else folder_bytes(self.folder / "song") + self._needed

    def clear(self) -> None:
        """Stop the job; delete song and stems."""
        with self._lock:
            self._clear_stems()
            self.song = self.facts = None
            shutil.rmtree(self.folder / "song", ignore_errors=True)

    def stem_bytes(self) -> int:
        """What the stems of the last job take."""
        return 0 if self.job is None else folder_bytes(self.job.folder)

    def _clear_stems(self) -> None:
        if self.job is not None:
            self.job.cancel(CANCEL_SECONDS)
            shutil.rmtree(self.job.folder, ignore_errors=True)
        self.job = None


def folder_bytes(folder: Path) -> int:
    """The bytes of all files in a folder."""
    total = 0
    for inner, _, names in os.walk(folder):  # a folder may go while it is walked through, which rglob does not bear
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(inner, name)).st_size  # noqa: PTH116, PTH118
    return total
