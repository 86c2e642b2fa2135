"""Lines that change the gains while it plays, from a fifo, a terminal or a file."""

import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import TextIO

from demixer.errors import UserError, one_line, shown, told
from demixer.live.desk import Desk

STDIN = Path("-")


def listen(desk: Desk, path: Path, tell: Callable[[str], object]) -> Thread:
    """Do what the lines of a file say, as they come, in a thread of its own that ends with the process.

    A fifo is opened again whenever its writer has closed it: ``echo "vocals -6" > FIFO`` can be said again and again.

    Args:
        desk: is changed.
        path: of the file; ``-`` is stdin.
        tell: is handed a line about each that cannot be followed.

    Raises:
        UserError: there is no such file, or it cannot be read.
    """
    if path != STDIN:
        with told(f"cannot read the control lines of `{path}`"):
            kind = path.stat().st_mode
            if stat.S_ISDIR(kind):
                raise UserError(f"`--control` (={path}) is a folder: give a fifo, a terminal or a file")
            if not stat.S_ISFIFO(kind):  # to open a fifo waits for who writes
                path.open().close()
    thread = Thread(target=_follow, args=(desk, path, tell), name="control", daemon=True)
    thread.start()
    return thread


def follow(desk: Desk, lines: TextIO, tell: Callable[[str], object]) -> None:
    """Do what each line says, up to the end."""
    for line in lines:
        try:
            desk.do(line)
        except UserError as error:
            tell(f"control: {shown(one_line(error))}")


def _follow(desk: Desk, path: Path, tell: Callable[[str], object]) -> None:
    if path == STDIN:  # not sys.stdin itself, whose lock Python asks for when it ends
        with open(sys.stdin.fileno(), errors="replace", closefd=False) as lines:
            follow(desk, lines, tell)
        return
    try:
        again = True
        while again:
            with path.open(errors="replace") as lines:
                again = stat.S_ISFIFO(os.fstat(lines.fileno()).st_mode)
                follow(desk, lines, tell)
    except OSError as error:
        tell(f"control: no more lines come from `{path}`: {error.strerror}")
