"""One clear line for a user's mistake, a traceback for ours, and an honest exit code for both."""

import sys
from collections.abc import Callable


class UserError(ValueError):
    """A mistake that the user can mend; its message holds the name, the value and the remedy in one line."""


def run(main: Callable[[], int | None]) -> None:
    """Run a script's ``main`` and leave the process with its exit code.

    0 is success (or what ``main`` returns), 2 a :class:`UserError` (printed as ``error: …`` on stderr), 130 Ctrl-C.
    Any other exception is a fault of this program and keeps its traceback (Python exits with 1).
    """
    try:
        code = main()
    except UserError as error:
        print(f"error: {one_line(error)}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    sys.exit(code or 0)


def one_line(error: BaseException) -> str:
    """The error's message on one line, so that it survives in a log or a table."""
    return " ".join(str(error).split()) or type(error).__name__
