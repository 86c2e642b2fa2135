"""The files that hold what an evaluation found."""

import csv
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from demixer.errors import UserError
from demixer.evaluation.intervals import intervals
from demixer.evaluation.scores import METRICS, MUSEVAL, Evaluation, Score, summarise
from demixer.evaluation.wording import counted, decibels, heading, plain
from demixer.temporary import atomic_path

WITH_INTERVALS = ("usdr_db", "csdr_db")


def part_name(subset: str, split: str | None = None) -> str:
    """What the files of an evaluation are called, so that those of other songs do not replace them.

    >>> part_name("test"), part_name("train", "valid"), part_name("train", "train"), part_name("train")
    ('test', 'valid', 'train', 'train_and_valid')
    """
    return split or ("train_and_valid" if subset == "train" else subset)


def write_results(folder: Path, evaluation: Evaluation, command: str = "", part: str = "test") -> None:
    """Write ``{part}.json``, ``{part}.csv`` and ``{part}.log`` into ``folder``, each atomically.

    Only the log tells the ``command``: it may name places on this machine, and a saved model is passed on.
    """
    content = {
        **evaluation.about,
        "targets": list(evaluation.targets),
        "summary": summarise(evaluation),
        "intervals_95": {metric: intervals(evaluation, metric) for metric in WITH_INTERVALS},
        "scores": [score.row() for score in evaluation.scores],
    }
    _write(
        folder / f"{part}.json", json.dumps(_portable(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    )
    with atomic_path(folder / f"{part}.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, ["song", "target", *evaluation.metrics], lineterminator="\n")
        rows.writeheader()
        rows.writerows(score.row() for score in evaluation.scores)
    _write(folder / f"{part}.log", "\n".join([f"command: {command}", *log_lines(evaluation)]) + "\n")


def read_results(folder: Path, part: str = "test") -> Evaluation:
    """Read ``{part}.json`` of a run's folder back; or a ``test.json`` from when there was no other name.

    Raises:
        UserError: it is missing, or is not what :func:`write_results` writes.
    """
    path = Path(folder) / f"{part}.json"
    if not path.is_file() and (old := path.with_name("test.json")).is_file():
        path = old
    if not path.is_file():
        raise UserError(f"`{path}` does not exist; write it first: python evaluate.py -d {folder}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        scores = tuple(map(score_of_row, content.pop("scores")))
        targets = tuple(content.pop("targets"))
        for derived in ("summary", "intervals_95"):
            content.pop(derived, None)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"`{path}` is no evaluation of this program ({error!r}); evaluate that run again") from error
    return Evaluation(content, targets, scores)


def score_of_row(row: dict[str, Any]) -> Score:
    """The score of a row; its columns that no field is named after are further metrics."""
    numbers = {
        name: math.nan if value is None else float(value)
        for name, value in row.items()
        if name not in ("song", "target")
    }
    own = [numbers.pop(name) for name in METRICS]
    return Score(row["song"], row["target"], *own, numbers)


def log_lines(evaluation: Evaluation) -> list[str]:
    """The evaluation as lines to read: what was measured, every song, and the summary."""
    metrics = evaluation.metrics
    headings = ["song", "target", "uSDR", "cSDR", "the mixture's uSDR", "the mixture's cSDR"]
    headings += [heading(name) for name in metrics if name not in METRICS]
    lines = [f"{name}: {plain(value)}" for name, value in evaluation.about.items()]
    lines += ["", " | ".join(headings) + "   (dB)"]
    for score in evaluation.scores:
        row = score.row()
        lines.append(" | ".join([score.song, score.target, *(decibels(row.get(name)) for name in metrics)]))
    lines += ["", "summary: uSDR is the mean over songs, cSDR the median over songs of the median over windows"]
    if any(name.startswith(MUSEVAL) for name in metrics):
        lines[-1] += ", as museval's numbers are"
    for target, row in summarise(evaluation).items():
        numbers = " | ".join(decibels(row[name]) for name in metrics)
        lines.append(f"{target} | {numbers}" + counted(row, len(evaluation.songs)))
    lines += ["", "95 % intervals, by resampling the songs: target | uSDR | cSDR"]
    edges = [intervals(evaluation, metric) for metric in WITH_INTERVALS]
    for target in edges[0]:
        ranges = (" … ".join(map(decibels, of_metric[target])) for of_metric in edges)
        lines.append(" | ".join([target, *ranges]))
    return lines


def _portable(value: Any) -> Any:
    """JSON knows neither NaN nor infinity: NaN becomes null, infinity the text that ``float`` reads back."""
    if isinstance(value, dict):
        return {key: _portable(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_portable(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
