"""One song is separated at a time, in the order in which they came; the others wait."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Condition

from demixer.page.limits import QuotaError

POLL_SECONDS = 0.2  # how often someone who waits looks whether he still should


class Cancelled(Exception):  # noqa: N818  a wish, not an error
    """The visitor does not want the song any more."""


class Turns:
    """A queue for threads.

    Args:
        waiting: how many may stand in it behind the first.
    """

    def __init__(self, waiting: int) -> None:
        self.waiting = waiting
        self._queue: list[object] = []
        self._changed = Condition()

    def join(self, who: object) -> None:
        """Line up now, for a :meth:`turn` to come: the order of the calls is the order of the turns.

        Raises:
            QuotaError: too many wait already.
        """
        with self._changed:
            self.check_room()
            self._queue.append(who)

    @contextmanager
    def turn(self, who: object, check: Callable[[], None] = lambda: None) -> Iterator[None]:
        """Wait until all who came before are done; then nobody else goes on until the end of the block.

        Args:
            who: stands in the queue, or joins it now.
            check: is called while waiting; what it raises ends the wait.

        Raises:
            UserError: too many wait already.
        """
        with self._changed:
            joined = who in self._queue
        if not joined:
            self.join(who)
        try:
            with self._changed:
                while self._queue[0] is not who:
                    check()
                    self._changed.wait(POLL_SECONDS)
            yield
        finally:
            with self._changed:
                self._queue.remove(who)
                self._changed.notify_all()

    def check_room(self) -> None:
        """Raise a :class:`QuotaError` where too many wait already."""
        with self._changed:
            if len(self._queue) > self.waiting:
                raise QuotaError(f"{self.waiting} songs wait already: try again in some minutes")

    def before(self, who: object) -> int:
        """How many are before ``who``; 0 once it is its turn."""
        with self._changed:
            return self._queue.index(who) if who in self._queue else 0
