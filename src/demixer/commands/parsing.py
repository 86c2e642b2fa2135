"""What the commands' parsers share."""

import argparse
from pathlib import Path
from typing import NoReturn

from demixer import __version__
from demixer.errors import UserError


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
        self.add_argument(*flags, default="auto", help="auto (the best present, default), cpu, cuda, cuda:N or mps")


def file_name(text: str) -> Path:
    """What an argument names; an empty one, as an unset shell variable gives, is not the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(text)
