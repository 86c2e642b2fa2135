"""A model and a dataset → scores, in files and as a report."""

import shlex
import sys
from pathlib import Path

from demixer.checkpoints.locating import locate_model
from demixer.evaluation.comparison import compare
from demixer.evaluation.gallery import Gallery
from demixer.evaluation.report import write_report
from demixer.evaluation.results import Evaluation, read_results, write_results
from demixer.evaluation.scoring import about_run, dataset_folders, measure, songs_of
from demixer.separation.separator import Separator


def evaluate(
    model: Path,
    input_dir: Path | None = None,
    device: str = "auto",
    subset: str | None = None,
    split: str | None = None,
    compare_dir: Path | None = None,
    report: bool = True,
    output_dir: Path | None = None,
    museval: bool = False,
) -> Evaluation:
    """Separate every song of a subset once, score it, and write what was found into ``output_dir``, or the model's own.

    Raises:
        UserError: the model, the dataset or the run to compare with is missing or cannot be used.
    """
    run_dir, weights = locate_model(model)
    folder = output_dir or run_dir
    subset = subset or ("train" if split else "test")
    other = read_results(compare_dir) if compare_dir else None
    folders = dataset_folders(run_dir, input_dir)
    tracks = songs_of(folders, subset, split, run_dir)
    separator, gallery = Separator.from_pretrained(model, device=device), Gallery()
    scores = measure(separator, tracks, gallery if report else None)
    about = about_run(run_dir, folders, subset, split, separator.device) | {"weights": weights.name}
    evaluation = Evaluation(about, tuple(separator.targets), tuple(scores))
    write_results(folder, evaluation, shlex.join(["python", *sys.argv]))
    if report:
        pairs = compare(evaluation, other) if other else ()
        write_report(folder / "report.html", evaluation, gallery, pairs, other)
    return evaluation
