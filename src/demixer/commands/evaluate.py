"""Measure a run or a saved model on MUSDB18-HQ: ``demix-evaluate -d RUN_DIR -i MUSDB_DIR``.

Writes ``test.log``, ``test.json``, ``test.csv`` and ``report.html`` into RUN_DIR, or into the folder given with ``-o``.
"""

import argparse
from pathlib import Path

from demixer.commands.parsing import Parser
from demixer.errors import run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("-d", "--run-dir", "--run_dir", type=Path, required=True, help="a run's folder or a saved model")
    add("-i", "--input", type=Path, help="MUSDB18-HQ; default: $MUSDB_DIR, else the run's own data")
    add("-o", "--output", type=Path, metavar="OUT_DIR", help="where the results go; default: RUN_DIR")
    parser.add_device("--device")
    add("--subset", choices=("test", "train"), help="default: test, or train where --split is given")
    add("--split", choices=("valid", "train"), help="which part of the subset train; default: all")
    add("--museval", action="store_true", help="museval's own numbers beside ours: its SDR, SIR, SAR and ISR (slow)")
    add("--compare", type=Path, metavar="RUN_DIR", help="an evaluated run to set beside in the report")
    add("--no-report", "--no_report", action="store_true", help="write no report.html")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    args = parse(arguments)
    from rich.console import Console

    from demixer.evaluation.evaluating import evaluate
    from demixer.evaluation.score_table import further_table, screen_table
    from demixer.separation.memory import keep_freed_memory

    keep_freed_memory()
    evaluation = evaluate(
        args.run_dir,
        args.input,
        args.device,
        args.subset,
        args.split,
        args.compare,
        not args.no_report,
        args.output,
        args.museval,
    )
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(screen_table(evaluation, console.width))
    if args.museval:
        console.print(further_table(evaluation))
    files = ["test.log", "test.json", "test.csv"] + ["report.html"] * (not args.no_report)
    print(f"written to {args.output or args.run_dir}: {', '.join(files)}")


def command() -> None:
    """The program ``demix-evaluate``."""
    run(main)
