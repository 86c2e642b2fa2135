"""What the commands' parsers share."""

import argparse
from pathlib import Path
from typing import NoReturn

from demixer import __version__
from demixer.errors import UserError

DEVICE_HELP = "auto (the best present, default), cpu, cuda, cuda:N or mps"
SEVERAL = {"action": "extend", "nargs": "+"}  # of an option that is given twice, too, as `-c` is: none is dropped


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, like all others.

    Args:
        description: the help's first paragraphs.
        dashes: whether users give it names of songs, which may begin with a dash.
    """

    def __init__(self, description: str, dashes: bool = False) -> None:
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.hint = "see --help" + "; a name that begins with a dash is written ./-name" * dashes
        self.add_argument("--version", action="version", version=f"music-demixer {__version__}")

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} ({self.hint})")

    def add_device(self, *flags: str) -> None:
        """Add the option that says where the network computes."""
        self.add_argument(*flags, default="auto", help=DEVICE_HELP)


def file_name(text: str) -> Path:
    """What an argument names; an empty one, as an unset shell variable gives, is not the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(text)


def time_seconds(text: str) -> float:
    """A time in seconds, or as players show it.

    >>> time_seconds("90"), time_seconds("1:30"), time_seconds("1:00:01.5")
    (90.0, 90.0, 3601.5)
    """
    try:
        *larger, last = text.split(":")
        minutes, seconds = [int(part) for part in larger], float(last)
        if len(minutes) > 2 or min(minutes, default=0) < 0 or (minutes and not 0 <= seconds < 60):
            raise ValueError
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write seconds, or m:ss") from error
    return seconds + sum(part * 60**power for power, part in enumerate(reversed(minutes), 1))
