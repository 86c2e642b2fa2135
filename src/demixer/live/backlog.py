"""The blocks that wait for the network, and those that it has done."""

from collections import deque
from math import ceil
from threading import Condition, Thread

from torch import Tensor

from demixer.live.live_mix import LiveMix
from demixer.live.stats import Stats

MOST_BEHIND_SECONDS = 1.0


class Backlog:
    """Numbered blocks in, mixed blocks out, at the pace of whoever calls :meth:`work`.

    A network that was held up computes all that has come meanwhile, as fast as it can: then its state, and all that
    follows, is as if nothing had been. Only if more than a second waits, as after a computer's sleep, the network
    begins anew with the newest block; its first ``latency_samples``, which belong to silence, are kept back.

    Args:
        mix: separates and mixes.
        block_samples: length of each block.
        stats: is told how long the blocks take.
    """

    def __init__(self, mix: LiveMix, block_samples: int, stats: Stats) -> None:
        self.mix, self.stats = mix, stats
        self._most = max(4, ceil(MOST_BEHIND_SECONDS * mix.sample_rate_hz / block_samples))
        self._cold = ceil(mix.latency_samples / block_samples)
        self._waiting: deque[tuple[int, Tensor]] = deque()
        self._done: dict[int, Tensor] = {}
        self._begun, self._next = 0, 0  # numbers of blocks
        self._changed = Condition()
        self._fault: BaseException | None = None
        self._closed = False

    def put(self, number: int, block: Tensor) -> None:
        """Let a block (C, block_samples) wait; their numbers are consecutive."""
        with self._changed:
            if len(self._waiting) >= self._most:
                self.stats.skipped_blocks += len(self._waiting)
                self._waiting.clear()
            self._waiting.append((number, block))
            self._changed.notify_all()

    def wait(self, number: int, seconds: float) -> None:
        """Until the block of that number is done, at most so long."""
        with self._changed:
            self._changed.wait_for(lambda: number in self._done or self._fault is not None, seconds)

    def take(self, number: int) -> Tensor | None:
        """The mixed block of that number, or None where it is not done yet; it will not be asked for again.

        Raises:
            Exception: what the network raised.
        """
        with self._changed:
            if self._fault is not None:
                raise self._fault
            block = self._done.pop(number, None)
            self._done = {later: held for later, held in self._done.items() if later > number}
            return block

    def work(self) -> bool:
        """Compute the block that has waited longest; False where none waits."""
        with self._changed:
            if not self._waiting:
                return False
            number, block = self._waiting.popleft()
        if number != self._next:
            self.mix.reset()
            self._begun = number + self._cold
        mixed = self.stats.timed(self.mix.process, block)
        self._next = number + 1
        with self._changed:
            if number >= self._begun:
                self._done[number] = mixed
            self._changed.notify_all()
        return True

    def start(self) -> None:
        """Work in a thread of its own, until :meth:`close`."""
        self._thread = Thread(target=self._work_on, name="network", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread, after the block that it computes."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()

    def _work_on(self) -> None:
        try:
            while not self._closed:
                if not self.work():
                    with self._changed:
                        self._changed.wait_for(lambda: self._waiting or self._closed)
        except BaseException as fault:  # it is raised again by whoever takes the blocks
            with self._changed:
                self._fault = fault
                self._changed.notify_all()
