"""A model and a dataset → scores, in files and as a report."""

import shlex
import sys
from pathlib import Path

from demixer.checkpoints.locating import locate_model
from demixer.evaluation.comparison import compare
from demixer.evaluation.gallery import Gallery
from demixer.evaluation.museval_reference import museval_scores, museval_version
from demixer.evaluation.report import write_report
from demixer.evaluation.results import Evaluation, read_results, write_results
from demixer.evaluation.scoring import about_run, dataset_folders, measure, songs_of
from demixer.separation.separator import Separator
from demixer.temporary import check_writable


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
    """Separate every song of a subset once, score it, and write what was found.

    Args:
        model: a run's folder, a saved model or its name.
        input_dir: the dataset; None: ``$MUSDB_DIR``, or the run's own.
        device: where the network runs.
        subset: ``test`` or ``train``; None: ``test``, or ``train`` where a split is given.
        split: ``valid`` or ``train``: that part of the subset train; None: all of it.
        compare_dir: an evaluated run to set beside in the report.
        report: whether to write ``report.html``.
        output_dir: where the results go; None: the model's own folder.
        museval: whether museval's own numbers are measured beside ours, which is slow.

    Raises:
        UserError: the model, the dataset, the run to compare with or museval is missing or cannot be used.
    """
    run_dir, weights = locate_model(model)
    folder = output_dir or run_dir
    check_writable(folder)
    subset = subset or ("train" if split else "test")
    other = read_results(compare_dir) if compare_dir else None
    folders = dataset_folders(run_dir, input_dir)
    tracks = songs_of(folders, subset, split, run_dir)
    versions = {"museval": museval_version()} if museval else {}
    separator, gallery = Separator.from_pretrained(model, device=device), Gallery()
    scores = measure(separator, tracks, gallery if report else None, (museval_scores,) if museval else ())
    about = about_run(run_dir, folders, subset, split, separator.device) | {"weights": weights.name}
    about["versions"] |= versions
    evaluation = Evaluation(about, tuple(separator.targets), tuple(scores))
    write_results(folder, evaluation, shlex.join(["python", *sys.argv]))
    if report:
        pairs = compare(evaluation, other) if other else ()
        write_report(folder / "report.html", evaluation, gallery, pairs, other)
    return evaluation
