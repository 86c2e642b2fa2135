"""Rewrite any known checkpoint as this project's own format: ``demix-convert IN OUT``.

OUT gets ``weights.safetensors`` and ``hparams.yaml``, one folder per network where IN has several. After that no
pickle is touched, and the stems are the same.
"""

import argparse
from pathlib import Path

from demixer.commands.parsing import Parser
from demixer.errors import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("input", type=Path, metavar="IN", help="a checkpoint, a folder of them, or a model's name")
    parser.add_argument("output", type=Path, metavar="OUT", help="a new folder")
    parser.add_argument("--half", action="store_true", help="half the size; the stems then differ by about -60 dB")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    from demixer.model.converting import convert

    for folder in convert(args.input, args.output, args.half):
        print(folder)


def command() -> None:
    """The program ``demix-convert``."""
    run(main)
