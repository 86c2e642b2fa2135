"""Measure a run or a saved model on MUSDB18-HQ: ``demix-evaluate -d RUN_DIR -i MUSDB_DIR``.

Writes ``test.log``, ``test.json``, ``test.csv`` and ``report.html`` into RUN_DIR, or into the folder given with ``-o``;
of the validation songs ``valid.log`` and so on. After a kill it goes on; torchrun shares the songs.
"""

import argparse
from pathlib import Path

from demixer.commands.parsing import SEVERAL, Parser
from demixer.errors import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("-d", "--run-dir", "--run_dir", type=Path, required=True, help="a run's folder or a saved model")
    add("-i", "--input", type=Path, help="MUSDB18-HQ; default: $MUSDB_DIR, else the run's own data")
    add("-o", "--output", type=Path, metavar="OUT_DIR", help="where the results go; default: RUN_DIR")
    add("-t", "--target", **SEVERAL, help="which targets to measure; default: all that the model has")
    parser.add_device("--device")
    add("--precision", default="auto", help="auto (default), fp32, bf16 or fp16")
    add("--hop", type=float, metavar="SECONDS", help="distance of two windows; default: the model's")
    add("--subset", choices=("test", "train"), help="default: test, or train where --split is given")
    add("--split", choices=("valid", "held-out", "train"), help="part of the subset train; default: all")
    add(
        "--metrics",
        **SEVERAL,
        default=[],
        help="further ones: si-sdr, bsseval (ISR, SIR, SAR), log-wmse, silence, museval",
    )
    add("--museval", action="store_true", help="museval's own numbers beside ours: its SDR, SIR, SAR and ISR (slow)")
    add("--compare", type=Path, metavar="RUN_DIR", help="an evaluated run to set beside in the report")
    add("--no-report", "--no_report", action="store_true", help="write no report.html")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    from demixer.evaluation.evaluating import Settings, evaluate
    from demixer.evaluation.score_table import print_tables
    from demixer.separation.memory import keep_freed_memory
    from demixer.separation.processes import Process

    keep_freed_memory()
    process = Process.from_environment()
    metrics = [*args.metrics, *["museval"] * args.museval]
    settings = Settings(args.device, args.precision, args.hop, args.target, metrics)
    songs, report = (args.subset, args.split), not args.no_report
    with process.leaving_together():
        evaluation = evaluate(args.run_dir, args.input, settings, *songs, args.compare, report, args.output, process)
    if evaluation is not None:
        print_tables(evaluation)
        print(f"written to {args.output or args.run_dir}")


def command() -> None:
    """The program ``demix-evaluate``."""
    run(main)
