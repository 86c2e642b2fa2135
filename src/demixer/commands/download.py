"""Fetch a public model by name: ``demix-download best``, or without a name to see what there is.

It goes on where it broke off, is put in place only if sizes and known checksums match, and lies in your cache folder
(``$DEMIXER_HOME/models`` if that is set); then ``demix song.mp3 -c best``, which would fetch it, too.
"""

import argparse
from pathlib import Path

from demixer.commands.parsing import Parser
from demixer.errors import run
from demixer.paths import downloads_dir


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the model; without one they are listed")
    parser.add_argument("-o", "--output", type=Path, default=downloads_dir(), help="default: %(default)s")
    parser.add_argument("--registry", type=Path, help="default: the one of this program")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    from demixer.checkpoints.listing import print_models
    from demixer.checkpoints.locating import locate_networks
    from demixer.checkpoints.obtaining import download

    if args.name is None:
        print_models(args.registry)
        return
    folder = download(args.name, args.output, args.registry)
    locate_networks(folder)  # there are weights in it
    print(f"{folder}\nnow: demix song.mp3 -c {args.name}")


def command() -> None:
    """The program ``demix-download``."""
    run(main)
