"""One process at a time: who comes later waits, and is told for whom."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

log = logging.getLogger(__name__)


@contextmanager
def only_one(file: Path, what: str) -> Iterator[None]:
    """Hold a lock for as long as the block runs; a process that dies lets go of it.

    The file stays: were it removed, another process could hold the old one and a third make a new one.

    Args:
        file: of the lock; beside it stands who holds it.
        what: its owner does, for those who wait.
    """
    lock, owner = FileLock(file), file.with_suffix(".owner")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = "another process"
        with suppress(OSError):
            holder = owner.read_text(encoding="utf-8")
        log.warning("%s %s already: waiting for it", holder, what)
        lock.acquire()
    try:
        owner.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
