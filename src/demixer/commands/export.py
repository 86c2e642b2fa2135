"""Export a model for ONNX runtimes, waveform to waveform: ``demix-export RUN_DIR OUT.onnx``.

The network maps ``mixture`` (batch, channels, samples) to ``stems`` (batch, targets, channels, samples) at its own
sample rate, for any batch and length from half a transform on (older public checkpoints: at their one length). What
the stems are and how songs are best cut stands in the file's metadata. Needs the extra ``export``.
"""

import argparse
from pathlib import Path

from demixer.commands.parsing import Parser
from demixer.errors import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    parser.add_argument("model", type=Path, metavar="RUN_DIR", help="a run's folder, a checkpoint, or a model's name")
    parser.add_argument("output", type=Path, metavar="OUT.onnx")
    parser.add_argument("--channels", type=int, choices=(1, 2), default=2, help="of the mixture (default: 2)")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    from demixer.separation.onnx_export import export

    export(args.model, args.output, args.channels)


def command() -> None:
    """The program ``demix-export``."""
    run(main)
