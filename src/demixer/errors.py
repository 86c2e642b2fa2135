"""One clear line for a user's mistake, a traceback for ours, and an honest exit code for both."""

import os
import reprlib
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_BRIEF = reprlib.Repr()
_BRIEF.maxlevel, _BRIEF.maxstring = 3, 80
_BRIEF_CHARACTERS = 160


class UserError(ValueError):
    """A mistake that the user can mend; its message holds the name, the value and the remedy in one line."""


def run(main: Callable[[], int | None]) -> None:
    """Run a script's ``main`` and leave the process with its exit code.

    0 is success (or what ``main`` returns), 2 a :class:`UserError` or what the operating system refuses (printed as
    ``error: …`` on stderr), 130 Ctrl-C, 128 and its number another signal (:func:`end_on_signals`). Any other exception
    is a fault of this program and keeps its traceback (Python exits with 1).
    """
    try:
        code = main()
        sys.stdout.flush()
    except UserError as error:
        print(error_line(error), file=sys.stderr)
        code = 2
    except KeyboardInterrupt as interrupt:
        print("interrupted", file=sys.stderr)
        code = 128 + (interrupt.args or (signal.SIGINT,))[0]
    except BrokenPipeError:  # who read the output has seen enough: `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 128 + 13  # SIGPIPE, which not every system knows
    except OSError as error:
        if error.errno is None:  # raised by a library, not by the system
            raise
        print(error_line(UserError(of_system(error))), file=sys.stderr)
        code = 2
    sys.exit(code or 0)


def error_line(error: UserError) -> str:
    """What is printed of a mistake: one line, in which nothing that a stranger's file says can steer a terminal."""
    return f"error: {shown(one_line(error))}"


@contextmanager
def told(what: str) -> Iterator[None]:
    """What the operating system refuses in this block is the user's to mend: a full disk, a folder, a permission.

    Raises:
        UserError: ``what`` could not be done, and the system's reason.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{what}: {of_system(error)}") from error


def of_system(error: OSError) -> str:
    """The system's reason, and the file where it names one."""
    reason = error.strerror or one_line(error)
    return f"`{shown(os.fsdecode(error.filename))}`: {reason}" if isinstance(error.filename, str | bytes) else reason


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


def brief(value: object) -> str:
    """A value from a stranger's file as a line quotes it: ``repr``, cut where it is long, deep or wide.

    >>> brief({"deep": [[["x"]]], "long": "x" * 1000})[:60]
    "{'deep': [[[...]]], 'long': 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    """
    try:
        text = _BRIEF.repr(value)
    except ValueError:  # Python writes out no number of more than 4300 digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= _BRIEF_CHARACTERS else f"{text[:_BRIEF_CHARACTERS]}…"
