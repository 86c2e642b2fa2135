"""A model and a dataset → scores, in files and as a report."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from demixer.checkpoints.locating import locate_model
from demixer.datasets.tracks import Track
from demixer.errors import UserError
from demixer.evaluation.comparison import compare
from demixer.evaluation.further import further_metrics
from demixer.evaluation.gallery import Gallery
from demixer.evaluation.kept import KeptScores
from demixer.evaluation.museval_reference import museval_version
from demixer.evaluation.report import write_report
from demixer.evaluation.results import part_name, read_results, write_results
from demixer.evaluation.scores import Evaluation, Score
from demixer.evaluation.scoring import about_run, dataset_folders, measure_song, measured_songs, some_scores, songs_of
from demixer.separation.processes import Process
from demixer.separation.separator import Separator
from demixer.temporary import check_writable


@dataclass(frozen=True)
class Settings:
    """How a model is measured; what is not said is the model's own.

    Args:
        device: where the network runs.
        precision: fp32, bf16, fp16 or auto, of the network's products.
        hop_seconds: distance of two windows; None: the model's.
        targets: which of its targets; None: all.
        metrics: names of :data:`demixer.evaluation.further.METRICS_BY_NAME`, beside uSDR and cSDR.
    """

    device: str = "auto"
    precision: str = "auto"
    hop_seconds: float | None = None
    targets: Sequence[str] | None = None
    metrics: Sequence[str] = ()

    def separator(self, model: Path, process: Process) -> Separator:
        """The model with all of its targets, set up so.

        Raises:
            UserError: there is no such model, device or precision, or the hop is impossible or of a live model.
        """
        separator = Separator.from_pretrained(model, process.device(self.device), self.precision)
        if self.hop_seconds is not None:
            separator.check_windows("--hop")
            separator.audio_params = replace(separator.audio_params, hop_seconds=self.hop_seconds)
        return separator


def evaluate(
    model: Path,
    input_dir: Path | None = None,
    settings: Settings | None = None,
    subset: str | None = None,
    split: str | None = None,
    compare_dir: Path | None = None,
    report: bool = True,
    output_dir: Path | None = None,
    process: Process | None = None,
) -> Evaluation | None:
    """Separate every song of a subset once, score it, and write what was found.

    Scores are kept song by song: the same call goes on where another one was killed, and processes share the songs.

    Args:
        model: a run's folder, a saved model or its name.
        input_dir: the dataset; None: ``$MUSDB_DIR``, or the run's own.
        settings: how it is measured.
        subset: ``test`` or ``train``; None: ``test``, or ``train`` where a split is given.
        split: ``valid``, ``held-out`` or ``train``: that part of the subset train; None: all of it.
        compare_dir: an evaluated run to set beside in the report.
        report: whether to write a page.
        output_dir: where the results go; None: the model's own folder.
        process: this process's place among several.

    Returns:
        The evaluation; None in all processes but the first.

    Raises:
        UserError: the model, the dataset, the run to compare with or what a metric needs is missing or cannot be used.
    """
    settings, process = settings or Settings(), process or Process()
    run_dir, weights = locate_model(model)
    folder = output_dir or run_dir
    check_writable(folder)
    subset = subset or ("train" if split else "test")
    part = part_name(subset, split)
    other = read_results(compare_dir, part) if compare_dir else None
    folders = dataset_folders(run_dir, input_dir)
    further = further_metrics(settings.metrics)
    whole, gallery = settings.separator(model, process), Gallery() if report else None
    tracks = songs_of(folders, subset, split, run_dir, whole.targets)
    separator = whole.only(settings.targets) if settings.targets else whole
    about = about_run(run_dir, folders, subset, split, separator) | {"weights": weights.name}
    if "museval" in settings.metrics:
        about["versions"]["museval"] = museval_version()
    kept = KeptScores(folder / f".{part}.partial", _identity(about, weights, folders, settings))
    if process.rank == 0:
        kept.begin()
    process.meet("the begin")
    mine = process.share([track for track in tracks if kept.of(track.name) is None], lambda track: -track.frames)
    process.meet("the first song")  # until then all deal out the same songs
    for song, scores in measured_songs(separator, mine, gallery, further):
        kept.keep(song, scores)
    process.meet("the last song")
    if process.rank:
        return None
    evaluation = Evaluation(about, tuple(separator.targets), tuple(_gathered(kept, tracks, separator.targets)))
    write_results(folder, evaluation, shlex.join(["python", *sys.argv]), part)
    if gallery is not None:
        _complete(gallery, separator, tracks, evaluation)
        pairs = compare(evaluation, other) if other else ()
        write_report(folder / report_name(part), evaluation, gallery, pairs, other)
    kept.forget()
    return evaluation


def report_name(part: str) -> str:
    """The page's file.

    >>> report_name("test"), report_name("valid")
    ('report.html', 'report_valid.html')
    """
    return "report.html" if part == "test" else f"report_{part}.html"


def _identity(about: dict[str, Any], weights: Path, folders: Sequence[Path], settings: Settings) -> dict[str, Any]:
    """What scores that are kept must agree in: everything but the day, and the very files and folders."""
    status = weights.stat()
    file = {"path": str(weights.resolve()), "bytes": status.st_size, "time": status.st_mtime_ns}
    measured = {"targets": settings.targets and list(settings.targets), "metrics": list(settings.metrics)}
    return {**about, "date": None, "file": file, "folders": [str(folder.resolve()) for folder in folders], **measured}


def _gathered(kept: KeptScores, tracks: Sequence[Track], targets: Sequence[str]) -> list[Score]:
    """Every song's scores, in the songs' order."""
    by_song = {track.name: kept.of(track.name) for track in tracks}
    missing = [song for song, scores in by_song.items() if scores is None]
    if missing:
        raise UserError(f"{len(missing)} songs were not measured by the process that was to (`{missing[0]}` …): again")
    return some_scores([score for scores in by_song.values() for score in scores], targets)


def _complete(gallery: Gallery, separator: Separator, tracks: Sequence[Track], evaluation: Evaluation) -> None:
    """Separate again what the page shows and this process did not hear: another one did, or a call before this."""
    wanted = set()
    for target in evaluation.targets:
        ranked = sorted(
            (score.usdr_db, score.song) for score in evaluation.of(target) if score.usdr_db == score.usdr_db
        )
        for extreme, heard in ((ranked[-1:], gallery.best), (ranked[:1], gallery.worst)):
            wanted |= {song for usdr_db, song in extreme if target not in heard or heard[target].usdr_db != usdr_db}
    for track in tracks:
        if track.name in wanted:
            measure_song(separator, track, gallery)
