"""Visitors: each has a folder that no other can guess, and that goes when he does."""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import RLock

from demixer.page.limits import Limits, QuotaError
from demixer.page.places import Place, telling
from demixer.page.session import Session
from demixer.page.uploads import Uploads

LEAVE_SECONDS = 10.0  # who closes a page may be loading it again
MOST = 1000  # sessions at once; one costs a few kilobytes, and songs are limited elsewhere


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
