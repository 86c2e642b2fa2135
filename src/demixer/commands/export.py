"""Export a model for ONNX runtimes, waveform to waveform: ``demix-export RUN_DIR OUT.onnx``.

The network maps ``mixture`` (batch, channels, samples) to ``stems`` (batch, targets, channels, samples) at its own
sample rate, for any batch and length from half a transform on (older public checkpoints: at their one length). What
the stems are and how songs are best cut stands in the file's metadata. Needs the extra ``export``.

With ``--live`` a live model's ``mixture`` is one hop (1, channels, hop_samples), ``stems`` (1, targets, channels,
hop_samples) are its answer, ``latency_samples`` behind it, and the state goes in by its tensors' names, all zero before
a signal, and comes out as ``next.`` and the name. The numbers stand in the metadata.
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
    parser.add_argument("--live", action="store_true", help="of a live model: hop and state in, hop and state out")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    from demixer.separation.onnx_export import export

    export(args.model, args.output, args.channels, args.live)


def command() -> None:
    """The program ``demix-export``."""
    run(main)
