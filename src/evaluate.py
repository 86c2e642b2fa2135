"""Measure a run or a saved model on MUSDB18-HQ: ``python evaluate.py -d RUN_DIR -i MUSDB_DIR``.

Writes ``test.log``, ``test.json``, ``test.csv`` and ``report.html`` into RUN_DIR.
"""

import argparse
import shlex
import sys
from pathlib import Path

from rich.console import Console

from scoring import about_run, dataset_folders, measure, songs_of
from separator import Separator
from utils.checkpoints import locate_model
from utils.comparison import compare
from utils.errors import run
from utils.excerpt import Gallery
from utils.memory import keep_freed_memory
from utils.report import write_report
from utils.results import Evaluation, read_results, write_results
from utils.score_table import screen_table


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-d", "--run-dir", "--run_dir", type=Path, required=True, help="a run's folder or a saved model"
    )
    parser.add_argument("-i", "--input", type=Path, help="MUSDB18-HQ; default: $MUSDB_DIR, else the run's own data")
    parser.add_argument("--device", default="auto", help="auto (the best present, default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--subset", choices=("test", "train"), help="default: test, or train where --split is given")
    parser.add_argument("--split", choices=("valid", "train"), help="which part of the subset train; default: all")
    parser.add_argument("--compare", type=Path, metavar="RUN_DIR", help="an evaluated run to set beside in the report")
    parser.add_argument("--no-report", "--no_report", action="store_true", help="write no report.html")
    return parser.parse_args(arguments)


def evaluate(
    model: Path,
    input_dir: Path | None = None,
    device: str = "auto",
    subset: str | None = None,
    split: str | None = None,
    compare_dir: Path | None = None,
    report: bool = True,
) -> Evaluation:
    """Separate every song of a subset once, score it, and write what was found into the model's folder.

    Raises:
        UserError: the model, the dataset or the run to compare with is missing or cannot be used.
    """
    run_dir, weights = locate_model(model)
    subset = subset or ("train" if split else "test")
    other = read_results(compare_dir) if compare_dir else None
    folders = dataset_folders(run_dir, input_dir)
    tracks = songs_of(folders, subset, split, run_dir)
    separator, gallery = Separator.from_pretrained(model, device=device), Gallery()
    scores = measure(separator, tracks, gallery if report else None)
    about = about_run(run_dir, folders, subset, split, separator.device) | {"weights": weights.name}
    evaluation = Evaluation(about, tuple(separator.targets), tuple(scores))
    write_results(run_dir, evaluation, shlex.join(["python", *sys.argv]))
    if report:
        pairs = compare(evaluation, other) if other else ()
        write_report(run_dir / "report.html", evaluation, gallery, pairs, other)
    return evaluation


def main() -> None:
    keep_freed_memory()
    args = parse()
    evaluation = evaluate(
        args.run_dir, args.input, args.device, args.subset, args.split, args.compare, not args.no_report
    )
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(screen_table(evaluation, console.width))
    files = ["test.log", "test.json", "test.csv"] + ["report.html"] * (not args.no_report)
    print(f"written to {args.run_dir}: {', '.join(files)}")


if __name__ == "__main__":
    run(main)
