"""Visitors: each has a folder that no other can guess, and that goes when he does."""

import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock

from demixer.errors import UserError, one_line, shown
from demixer.page.jobs import Engine, Job, Order
from demixer.page.limits import Facts, Limits, QuotaError
from demixer.page.places import Place, telling
from demixer.page.uploads import Uploads

CANCEL_SECONDS = 60.0  # a batch of windows takes less, even on a slow machine
LEAVE_SECONDS = 10.0  # who closes a page may be loading it again
MOST = 1000  # sessions at once; one costs a few kilobytes, and songs are limited elsewhere


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


class Sessions:
    """All visitors; their files lie in one temporary folder, which goes with the page.

    A session's name is ``{owner}.{anything}``; all of an owner's sessions share his quotas.

    Args:
        limits: ``keep_minutes`` is how long an unused session lives, the quotas how much it may hold.
        sweep_seconds: how often unused ones are looked for.
    """

    def __init__(self, limits: Limits, sweep_seconds: float = 2.0) -> None:
        self.limits = limits
        self._place = Place("music-demixer-")
        self.root = self._place.folder
        self.uploads = Uploads(self.root / "uploads")
        self.visitors = self.root / "visitors"
        self.visitors.mkdir()
        total = limits.total_megabytes
        self._total_bytes = 0.8 * shutil.disk_usage(self.root).free if total is None else total * 1e6
        self._sessions: dict[str, Session] = {}
        self._coming: dict[object, tuple[str, float]] = {}
        self._lock = RLock()
        self._place.sweep_every(sweep_seconds, self.sweep)

    def of(self, visitor: str) -> Session:
        """The session of a visitor, a new one where he has none.

        Raises:
            QuotaError: there are too many already.
        """
        with self._lock:
            if visitor not in self._sessions:
                if len(self._sessions) >= MOST:
                    raise QuotaError("too many visitors: try again in some minutes")
                folder = self.visitors / secrets.token_urlsafe(24)
                self._sessions[visitor] = Session(folder, visitor.partition(".")[0], self._admission)
            session = self._sessions[visitor]
            session.touch()
            return session

    def known(self, visitor: str) -> Session | None:
        """The session of a visitor, if he has one."""
        with self._lock:
            return self.of(visitor) if visitor in self._sessions else None

    def with_folder(self, secret: str) -> Session | None:
        """The session whose folder has this name."""
        with self._lock:
            return next((one for one in self._sessions.values() if one.folder.name == secret), None)

    def ending(self, id: str) -> str | None:
        """The name of the session that ends so."""
        with self._lock:
            return next((name for name in self._sessions if name.endswith(f".{id}")), None)

    def closing(self, visitor: str) -> None:
        """A visitor's page is being closed: he is gone, unless he loads it again at once."""
        with self._lock:
            if session := self._sessions.get(visitor):
                session.left = time.monotonic()

    def leave(self, visitor: str) -> None:
        """Stop a visitor's job and delete his files."""
        with self._lock:
            session = self._sessions.pop(visitor, None)
        if session is not None:
            session.clear()
            shutil.rmtree(session.folder, ignore_errors=True)

    @contextmanager
    def room(self, owner: str, needed: float, instead: float = 0.0) -> Iterator[None]:
        """Keep room on the disk for an owner's bytes until the end of the block.

        Args:
            owner: whose they are.
            needed: how many bytes.
            instead: how many of his bytes they will replace.

        Raises:
            QuotaError: he, or all together, have too many already.
        """
        ticket = object()
        with self._lock:
            if self._bytes(owner) - instead + needed > self.limits.bytes_per_visitor:
                most = f"{self.limits.bytes_per_visitor / 1e6:.0f} MB"
                raise QuotaError(f"there is no room for it within the {most} that each visitor has: close other songs")
            if self._bytes() - instead + needed > self._total_bytes:
                raise QuotaError("the page has no room for it now: try again in some minutes")
            self._coming[ticket] = owner, needed
        try:
            yield
        finally:
            with self._lock:
                del self._coming[ticket]

    def check_free(self, owner: str) -> None:
        """Raise a :class:`QuotaError` where an owner has a song in line already."""
        with self._lock:
            if any(one.is_busy() for one in self._sessions.values() if one.owner == owner):
                raise QuotaError("a song of yours is in line already: wait for it, or cancel it")

    @contextmanager
    def _admission(self, session: Session, needed: float) -> Iterator[None]:
        with self._lock:
            self.check_free(session.owner)
            with self.room(session.owner, needed, session.stem_bytes()):
                yield

    def _bytes(self, owner: str | None = None) -> float:
        held = sum(one.bytes() for one in self._sessions.values() if owner in (None, one.owner))
        coming = sum(needed for one, needed in self._coming.values() if owner in (None, one))
        return held + coming + self.uploads.bytes_of(owner)

    def sweep(self) -> None:
        """Delete what was closed, or not used for ``keep_minutes``, abandoned uploads included."""
        now, keep_seconds = time.monotonic(), 60 * self.limits.keep_minutes
        with self._lock:
            closed = [name for name, one in self._sessions.items() if one.left and one.left < now - LEAVE_SECONDS]
            unused = [
                name
                for name, one in self._sessions.items()
                if one.used < now - keep_seconds and not one.is_busy() and name not in closed
            ]
            for name in closed:
                if job := self._sessions[name].job:
                    job.cancel()
        for visitor in (*closed, *unused):
            with telling():
                self.leave(visitor)
        self.uploads.sweep(keep_seconds)

    def close(self) -> None:
        """Stop all jobs and delete everything."""
        with self._lock:
            names, jobs = list(self._sessions), [one.job for one in self._sessions.values() if one.job is not None]
        for job in jobs:
            job.cancel()
        for visitor in names:
            self.leave(visitor)
        self._place.close()


def folder_bytes(folder: Path) -> int:
    """The bytes of all files in a folder."""
    total = 0
    for inner, _, names in os.walk(folder):  # a folder may go while it is walked through, which rglob does not bear
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(inner, name)).st_size  # noqa: PTH116, PTH118
    return total
