"""A visitor's songs: dropped together or one after the other, separated in this order, kept until he has gone."""

import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, Timer

from demixer.errors import UserError, shown
from demixer.page.jobs import Engine, Job, Order
from demixer.page.limits import Facts
from demixer.page.sessions import Session, Sessions

MOST_SONGS = 30
GRACE_SECONDS = 10.0  # a page that is loaded again says goodbye, too, and is back by then


@dataclass
class Entry:
    """A song on the shelf.

    Args:
        id: names it in addresses.
        name: its file's.
        facts: what its header tells.
        session: its file and its job.
        orders: how many times it was begun.
    """

    id: str
    name: str
    facts: Facts
    session: Session
    orders: int = 0

    @property
    def job(self) -> Job | None:
        return self.session.job

    @property
    def phase(self) -> str:
        return self.job.phase if self.job else "ready"


class Shelf:
    """One visitor's songs; each has a session of its own, so that none can take another with it.

    Args:
        visitor: who; a secret.
        sessions: where the songs lie.
        engine: separates.

    Attributes:
        entries: the songs by their id.
        chosen: the id of the one that is mixed.
        errors: what went wrong with what the visitor did last.
    """

    def __init__(self, visitor: str, sessions: Sessions, engine: Engine) -> None:
        self.visitor, self.sessions, self.engine = visitor, sessions, engine
        self.entries: dict[str, Entry] = {}
        self.chosen = ""
        self.errors: list[str] = []
        self.used = time.monotonic()
        self._lock = Lock()

    def receive(self, uploads: list[Path]) -> None:
        """Put uploaded files beside the songs that are here; those that cannot be used become errors."""
        errors = []
        for upload in uploads:
            try:
                with self._lock:
                    self._receive(upload)
            except UserError as error:
                errors.append(str(error))
        self.errors = errors

    def start(self, order: Order) -> None:
        """Line up all songs that were not begun yet; where there is none, the chosen one again.

        Raises:
            UserError: there is no song to begin, or too many wait.
        """
        with self._lock:
            entries = self.present()
            if not entries:
                raise UserError("drop a song first")
            waiting = [entry for entry in entries if entry.phase == "ready"]
            for entry in waiting or [self.entries[self.chosen]]:
                entry.session.start(order, self.engine)
                entry.orders += 1

    def remove(self, entry: Entry) -> None:
        """Stop a song's job; delete the song and its stems."""
        self.entries.pop(entry.id, None)
        if self.chosen == entry.id:
            self.chosen = next(iter(self.entries), "")
        self.sessions.leave(self._key(entry.id))

    def clear(self) -> None:
        for entry in list(self.entries.values()):
            self.remove(entry)

    def present(self) -> list[Entry]:
        """The songs that are still here, and are used by this; others were deleted since nobody asked for them."""
        for entry in list(self.entries.values()):
            if self.sessions.of(self._key(entry.id)) is not entry.session:
                self.remove(entry)
        return list(self.entries.values())

    def _receive(self, upload: Path) -> None:
        if len(self.entries) >= MOST_SONGS:
            raise UserError(f"`{shown(upload.name)}`: {MOST_SONGS} songs are here already: remove some")
        id = secrets.token_urlsafe(6)
        try:
            session = self.sessions.of(self._key(id))
            facts = session.receive(upload, self.engine.limits)
        except UserError:
            self.sessions.leave(self._key(id))
            raise
        self.entries[id] = Entry(id, upload.name, facts, session)
        self.chosen = self.chosen or id

    def _key(self, id: str) -> str:
        return f"{self.visitor}/{id}"


class Shelves:
    """Everybody's.

    Args:
        sessions: where the songs lie.
        engine: separates.
        grace_seconds: for how long songs wait for a visitor who said goodbye.
    """

    def __init__(self, sessions: Sessions, engine: Engine, grace_seconds: float = GRACE_SECONDS) -> None:
        self.sessions, self.engine, self.grace_seconds = sessions, engine, grace_seconds
        self._shelves: dict[str, Shelf] = {}
        self._leaving: dict[str, Timer] = {}
        self._lock = Lock()

    def of(self, visitor: str) -> Shelf:
        """A visitor's, who stays if he was about to leave."""
        with self._lock:
            self._stay(visitor)
            if visitor not in self._shelves:
                self._sweep()
                self._shelves[visitor] = Shelf(visitor, self.sessions, self.engine)
            self._shelves[visitor].used = time.monotonic()
            return self._shelves[visitor]

    def find(self, visitor: str) -> Shelf | None:
        """As :meth:`of`, but none is made."""
        return self.of(visitor) if visitor in self._shelves else None

    def leave(self, visitor: str) -> None:
        """The visitor says goodbye: delete his songs, unless he is back in a moment."""
        with self._lock:
            self._stay(visitor)
            timer = Timer(self.grace_seconds, self._forget, [visitor])
            timer.daemon = True
            self._leaving[visitor] = timer
            timer.start()

    def _sweep(self) -> None:
        """Forget the shelves whose songs are gone, since nobody used them for so long."""
        oldest = time.monotonic() - 60 * self.sessions.limits.keep_minutes
        for visitor, shelf in list(self._shelves.items()):
            if shelf.used < oldest and not any(entry.session.is_busy() for entry in shelf.entries.values()):
                del self._shelves[visitor]

    def _stay(self, visitor: str) -> None:
        if timer := self._leaving.pop(visitor, None):
            timer.cancel()

    def _forget(self, visitor: str) -> None:
        with self._lock:
            self._leaving.pop(visitor, None)
            shelf = self._shelves.pop(visitor, None)
        if shelf:
            shelf.clear()
