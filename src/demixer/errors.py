"""One clear line for a user's mistake, a traceback for ours, and an honest exit code for both."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType


class UserError(ValueError):
    """A mistake that the user can mend; its message holds the name, the value and the remedy in one line."""


def run(main: Callable[[], int | None]) -> None:
    """Run a script's ``main`` and leave the process with its exit code.

    0 is success (or what ``main`` returns), 2 a :class:`UserError` (printed as ``error: …`` on stderr), 130 Ctrl-C,
    128 and its number another signal (:func:`end_on_signals`). Any other exception is a fault of this program and
    keeps its traceback (Python exits with 1).
    """
    try:
        code = main()
        sys.stdout.flush()
    except UserError as error:
        print(f"error: {shown(one_line(error))}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt as interrupt:
        print("interrupted", file=sys.stderr)
        code = 128 + (interrupt.args or (signal.SIGINT,))[0]
    except BrokenPipeError:  # who read the output has seen enough: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + 13  # SIGPIPE, which not every system knows
    sys.exit(code or 0)


def end_on_signals() -> None:
    """Let SIGTERM, and a closed terminal, end this process as Ctrl-C does: with all that ``finally`` tidies up.

    What is ignored already stays ignored: under ``nohup`` a closed terminal ends nothing.
    """
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(number)


def one_line(error: BaseException) -> str:
    """The error's message on one line, so that it survives in a log or a table."""
    return " ".join(str(error).split()) or type(error).__name__


def shown(name: object) -> str:
    """A name as it can be printed: on one line, and without what no terminal shows."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in str(name)
    )
