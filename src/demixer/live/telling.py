"""What is told on stderr, since samples have stdout to themselves."""

import sys
import time
from collections.abc import Callable

from demixer.live.stats import Stats

EVERY_SECONDS = 1.0
CLEAR_LINE = "\r\x1b[K"


class Teller:
    """Notes at once; with ``shows_stats`` the figures, on a terminal every second in one line, and all at the end.

    Args:
        stats: are told.
        shows_stats: whether the user wants to see them.
        clock: seconds.
    """

    def __init__(self, stats: Stats, shows_stats: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._stats, self._shows, self._clock = stats, shows_stats, clock
        self._on_terminal = shows_stats and sys.stderr.isatty()
        self._last = clock()

    def __call__(self) -> None:
        """Show the line, if its time has come."""
        if self._on_terminal and self._clock() - self._last >= EVERY_SECONDS:
            self._last = self._clock()
            print(CLEAR_LINE + self._stats.line(), end="", file=sys.stderr, flush=True)

    def note(self, line: str) -> None:
        """Print a line, above the one that is shown."""
        print(f"{CLEAR_LINE * self._on_terminal}note: {line}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Tell what should be known of the whole."""
        stats = self._stats
        if self._shows and stats.blocks:
            print(f"{CLEAR_LINE * self._on_terminal}{stats.summary()}", file=sys.stderr, flush=True)
        if stats.late_blocks and not self._shows:
            self.note(f"{stats.late_blocks} of {stats.blocks} blocks came late, and were the mixture (--stats tells)")
        if stats.clipped_samples:
            self.note(f"{stats.clipped_samples} samples were too loud for s16le and clipped: lower them with --gain")
