"""Visitors: each has a folder that no other can guess, and that goes when he does."""

import os
import secrets
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread

from demixer.errors import UserError, one_line, shown
from demixer.page.jobs import Engine, Job, Order
from demixer.page.limits import Facts, Limits

CANCEL_SECONDS = 60.0  # a batch of windows takes less, even on a slow machine


class Session:
    """One visitor: his song, his job, and their folder.

    Args:
        folder: his own, made here; its name is a secret.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.song: Path | None = None
        self.job: Job | None = None
        self.used = time.monotonic()
        self._jobs = 0
        folder.mkdir(parents=True)

    def receive(self, upload: Path, limits: Limits) -> Facts:
        """Take an uploaded file over, in place of what was here before.

        Raises:
            UserError: it cannot be used; the message names it.
        """
        self.clear()
        song = self.folder / "song" / upload.name
        try:
            song.parent.mkdir(parents=True)
            os.replace(upload, song)
            facts = limits.check(song)
        except (UserError, OSError) as error:
            self.clear()
            reason = getattr(error, "strerror", None) or one_line(error)
            raise UserError(f"`{shown(upload.name)}`: {reason}") from error
        self.song = song
        return facts

    def start(self, order: Order, engine: Engine) -> Job:
        """Begin to separate the song.

        Raises:
            UserError: there is none, or one is being separated.
        """
        if self.song is None:
            raise UserError("drop a song first")
        if self.is_busy():
            raise UserError("your song is being separated: wait for it, or cancel it")
        self._clear_stems()
        self._jobs += 1
        job = Job(self.song, self.folder / f"stems{self._jobs}", order, engine)
        job.start()
        self.job = job
        return job

    def is_busy(self) -> bool:
        return self.job is not None and not self.job.ended.is_set()

    def clear(self) -> None:
        """Stop the job; delete song and stems."""
        self._clear_stems()
        self.song = None
        shutil.rmtree(self.folder / "song", ignore_errors=True)

    def _clear_stems(self) -> None:
        if self.job is not None:
            self.job.cancel(CANCEL_SECONDS)
            shutil.rmtree(self.job.folder, ignore_errors=True)
        self.job = None


class Sessions:
    """All visitors; their files lie in one temporary folder, which goes with the page.

    Args:
        limits: ``keep_minutes`` is how long an unused session lives.
        sweep_seconds: how often unused ones are looked for.
    """

    def __init__(self, limits: Limits, sweep_seconds: float = 30.0) -> None:
        self.limits = limits
        self.root = Path(tempfile.mkdtemp(prefix="music-demixer-")).resolve()
        self.uploads, self.visitors = self.root / "uploads", self.root / "visitors"
        self.uploads.mkdir()
        self.visitors.mkdir()
        self._sessions: dict[str, Session] = {}
        self._lock, self._closed = Lock(), Event()
        Thread(target=self._sweep_now_and_then, args=(sweep_seconds,), name="sweeper", daemon=True).start()

    def of(self, visitor: str) -> Session:
        """The session of a visitor, a new one where he has none."""
        with self._lock:
            if visitor not in self._sessions:
                self._sessions[visitor] = Session(self.visitors / secrets.token_urlsafe(24))
            session = self._sessions[visitor]
            session.used = time.monotonic()
            return session

    def leave(self, visitor: str) -> None:
        """Stop a visitor's job and delete his files."""
        with self._lock:
            session = self._sessions.pop(visitor, None)
        if session is not None:
            session.clear()
            shutil.rmtree(session.folder, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what was not used for ``keep_minutes``, abandoned uploads included."""
        oldest = time.monotonic() - 60 * self.limits.keep_minutes
        with self._lock:
            unused = [name for name, one in self._sessions.items() if one.used < oldest and not one.is_busy()]
        for visitor in unused:
            self.leave(visitor)
        for folder in self.uploads.iterdir():
            with suppress(FileNotFoundError):  # it was taken over just now
                if folder.stat().st_mtime < time.time() - 60 * self.limits.keep_minutes:
                    shutil.rmtree(folder) if folder.is_dir() else folder.unlink()

    def close(self) -> None:
        """Stop all jobs and delete everything."""
        self._closed.set()
        for session in self._sessions.values():
            if session.job is not None:
                session.job.cancel()
        for visitor in list(self._sessions):
            self.leave(visitor)
        shutil.rmtree(self.root, ignore_errors=True)

    def _sweep_now_and_then(self, seconds: float) -> None:
        while not self._closed.wait(seconds):
            self.sweep()
