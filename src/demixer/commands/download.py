"""Fetch a public model by name: ``demix-download bsrnn-opt``, or without a name to see what there is.

It goes on where it broke off, is put in place only if size and checksum match, and lies in your cache folder
(``$DEMIXER_HOME/models`` if that is set); then ``demix song.mp3 -c bsrnn-opt``.
"""

import argparse
from pathlib import Path

from demixer.checkpoints.registry import REGISTRY
from demixer.commands.parsing import Parser
from demixer.errors import run
from demixer.paths import downloads_dir


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the model; without one they are listed")
    parser.add_argument("-o", "--output", type=Path, default=downloads_dir(), help="default: %(default)s")
    parser.add_argument("--registry", type=Path, default=REGISTRY, help="default: the one of this program")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    from demixer.checkpoints.registry import download, print_models

    if args.name is None:
        print_models(args.registry)
        return
    folder = download(args.name, args.output, args.registry)
    print(f"{folder}\nnow: demix song.mp3 -c {args.name}")


def command() -> None:
    """The program ``demix-download``."""
    run(main)
