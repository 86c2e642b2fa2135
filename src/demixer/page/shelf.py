"""A visitor's songs: dropped together or one after the other, separated in this order, kept until he has gone."""

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Thread

from demixer.errors import UserError, shown
from demixer.page.jobs import Engine, Job, Order
from demixer.page.limits import Facts
from demixer.page.session import Session
from demixer.page.sessions import Sessions

MOST_SONGS = 30


@dataclass
class Entry:
    """A song on the shelf.

    Args:
        id: names it in addresses.
        name: its file's.
        facts: what its header tells.
        session: its file and its job.
        order: what was chosen for it, while it waits for the songs before it.
        problem: why it could not be begun.
    """

    id: str
    name: str
    facts: Facts
    session: Session
    order: Order | None = None
    problem: str = ""

    @property
    def job(self) -> Job | None:
        return self.session.job

    @property
    def edition(self) -> str:
        """Differs from job to job."""
        return self.job.folder.name if self.job else ""

    @property
    def phase(self) -> str:
        """Ready; lined up behind another song of this visitor's; that of its job; or failed."""
        if self.order:
            return "lined up"
        if self.problem:
            return "failed"
        return self.job.phase if self.job else "ready"

    def is_busy(self) -> bool:
        return self.order is not None or self.session.is_busy()


class Shelf:
    """One visitor's songs; each has a session of its own, so that none can take another with it.

    One of them is in the engine's queue at a time: whoever brings many does not keep the others waiting.

    Args:
        owner: the visitor.
        sessions: where the songs lie.
        engine: separates.

    Attributes:
        entries: the songs by their id.
        chosen: the id of the one that is mixed.
        errors: what went wrong with what the visitor did last.
    """

    def __init__(self, owner: str, sessions: Sessions, engine: Engine) -> None:
        self.owner, self.sessions, self.engine = owner, sessions, engine
        self.entries: dict[str, Entry] = {}
        self.chosen = ""
        self.errors: list[str] = []
        self.used = time.monotonic()
        self._lock = Lock()
        self._worker: Thread | None = None

    def receive(self, uploads: list[Path]) -> None:
        """Put uploaded files beside the songs that are here; those that cannot be used become errors."""
        errors = []
        for upload in uploads:
            try:
                self._receive(upload)
            except UserError as error:
                upload.unlink(missing_ok=True)  # also where it was refused before its session saw it
                errors.append(str(error))
        self.errors = errors

    def start(self, order: Order) -> None:
        """Line up all songs that were not begun yet; where there is none, the chosen one again.

        Raises:
            UserError: there is no song, or it is being separated.
        """
        entries = self.present()
        with self._lock:
            if not entries:
                raise UserError("drop a song first")
            wanted = [entry for entry in entries if entry.phase == "ready"] or [self.entries[self.chosen]]
            for entry in wanted:
                if entry.is_busy():
                    raise UserError("your song is being separated: wait for it, or cancel it")
                entry.order, entry.problem = order, ""
            if self._worker is None:
                self._worker = Thread(target=self._work, name="shelf", daemon=True)
                self._worker.start()

    def cancel(self, entry: Entry) -> None:
        entry.order = None
        if entry.job:
            entry.job.cancel()

    def remove(self, entry: Entry) -> None:
        """Stop a song's job; delete the song and its stems."""
        entry.order = None
        self.entries.pop(entry.id, None)
        if self.chosen == entry.id:
            self.chosen = next(iter(self.entries), "")
        self.sessions.leave(self._name(entry.id))

    def present(self) -> list[Entry]:
        """The songs that are still here, and are used by this; others were deleted since nobody asked for them."""
        for entry in list(self.entries.values()):
            if self.sessions.known(self._name(entry.id)) is not entry.session:
                self.remove(entry)
        return list(self.entries.values())

    def closing(self) -> None:
        """The visitor's page is being closed: his songs go, unless he loads it again at once."""
        for id in list(self.entries):
            self.sessions.closing(self._name(id))

    def _receive(self, upload: Path) -> None:
        if len(self.entries) >= MOST_SONGS:
            raise UserError(f"`{shown(upload.name)}`: {MOST_SONGS} songs are here already: remove some")
        id = secrets.token_hex(8)
        try:
            session = self.sessions.of(self._name(id))
            facts = session.receive(upload, self.engine.limits)
        except UserError:
            self.sessions.leave(self._name(id))
            raise
        self.entries[id] = Entry(id, upload.name, facts, session)
        self.chosen = self.chosen or id

    def _work(self) -> None:
        """Begin one song after the other, each once the one before has ended."""
        while entry := self._next():
            order = entry.order
            try:
                job = entry.session.start(order, self.engine)
            except UserError as error:
                entry.problem, entry.order = f"`{shown(entry.name)}`: {error}", None
            else:
                if entry.order is not order:  # the visitor was quicker
                    job.cancel()
                entry.order = None
                job.ended.wait()

    def _next(self) -> Entry | None:
        with self._lock:
            entry = next((entry for entry in self.entries.values() if entry.order), None)
            if entry is None:
                self._worker = None
            return entry

    def _name(self, id: str) -> str:
        return f"{self.owner}.{id}"


class Shelves:
    """Everybody's.

    Args:
        sessions: where the songs lie.
        engine: separates.
    """

    def __init__(self, sessions: Sessions, engine: Engine) -> None:
        self.sessions, self.engine = sessions, engine
        self._shelves: dict[str, Shelf] = {}
        self._lock = Lock()

    def of(self, owner: str) -> Shelf:
        """A visitor's, a new one where he has none."""
        with self._lock:
            if owner not in self._shelves:
                self._sweep()
                self._shelves[owner] = Shelf(owner, self.sessions, self.engine)
            shelf = self._shelves[owner]
            shelf.used = time.monotonic()
            return shelf

    def known(self, owner: str) -> Shelf | None:
        """A visitor's, if he has one."""
        return self.of(owner) if owner in self._shelves else None

    def _sweep(self) -> None:
        """Forget the shelves whose songs are gone, since nobody used them for so long."""
        oldest = time.monotonic() - 60 * self.sessions.limits.keep_minutes
        for owner, shelf in list(self._shelves.items()):
            if shelf.used < oldest and not any(entry.is_busy() for entry in shelf.entries.values()):
                del self._shelves[owner]
