"""What an evaluation found: scores per song and target, their summary, and the files that hold them."""

import csv
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from demixer.errors import UserError
from demixer.evaluation.metrics import finite_mean, finite_median, without_nan
from demixer.evaluation.wording import counted, decibels, heading, plain
from demixer.temporary import atomic_path


@dataclass(frozen=True)
class Score:
    """One target of one song: the estimate's SDRs, and those that the plain mixture would have as its estimate.

    ``further`` holds what else was measured, by its column in the files (``museval_sir_db``): a name that no field has.
    """

    song: str
    target: str
    usdr_db: float
    csdr_db: float
    mixture_usdr_db: float
    mixture_csdr_db: float
    further: dict[str, float] = field(default_factory=dict, hash=False)

    def row(self) -> dict[str, Any]:
        """Everything by column, without a nested level: a line of the table in ``test.csv``."""
        columns = asdict(self)
        further = columns.pop("further")
        return columns | further


MUSEVAL = "museval_"  # how the columns of museval's own numbers begin
METRICS = tuple(one.name for one in fields(Score) if one.name.endswith("_db"))


@dataclass(frozen=True)
class Evaluation:
    """The scores of one model on one set of songs; ``about`` says which (model, subset, split, date, versions …)."""

    about: dict[str, Any]
    targets: tuple[str, ...]
    scores: tuple[Score, ...]

    @property
    def songs(self) -> list[str]:
        """Every song once, in the order in which they were evaluated."""
        return list(dict.fromkeys(score.song for score in self.scores))

    @property
    def metrics(self) -> tuple[str, ...]:
        """The columns of everything that was measured: ``METRICS``, and those that any score has further."""
        return METRICS + tuple(dict.fromkeys(name for score in self.scores for name in score.further))

    def of(self, target: str) -> list[Score]:
        """The scores of one target, song by song."""
        return [score for score in self.scores if score.target == target]


def summarise(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Per target: the mean uSDR and the median cSDR over songs, and how many songs had one; then their mean.

    Of further metrics, museval's are medians, too, and others means. A song without a cSDR (no second in which
    everything sounds) is left out of the median and of ``songs_csdr``.
    """
    metrics, summary = evaluation.metrics, {}
    for target in evaluation.targets:
        rows = [score.row() for score in evaluation.of(target)]
        summary[target] = {name: _over_songs(name)(row.get(name, math.nan) for row in rows) for name in metrics}
        for name in ("usdr", "csdr"):
            summary[target][f"songs_{name}"] = len(without_nan(row[f"{name}_db"] for row in rows))
    summary["mean"] = {name: finite_mean(summary[target][name] for target in evaluation.targets) for name in metrics}
    return summary


def _over_songs(metric: str) -> Callable[[Iterable[float]], float]:
    return finite_median if "csdr" in metric or metric.startswith(MUSEVAL) else finite_mean


def write_results(folder: Path, evaluation: Evaluation, command: str = "") -> None:
    """Write ``test.json``, ``test.csv`` and ``test.log`` into ``folder``, each atomically.

    Only the log tells the ``command``: it may name places on this machine, and a saved model is passed on.
    """
    content = {
        **evaluation.about,
        "targets": list(evaluation.targets),
        "summary": summarise(evaluation),
        "scores": [score.row() for score in evaluation.scores],
    }
    _write(folder / "test.json", json.dumps(_portable(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    with atomic_path(folder / "test.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, ["song", "target", *evaluation.metrics], lineterminator="\n")
        rows.writeheader()
        rows.writerows(score.row() for score in evaluation.scores)
    _write(folder / "test.log", "\n".join([f"command: {command}", *log_lines(evaluation)]) + "\n")


def read_results(folder: Path) -> Evaluation:
    """Read ``test.json`` of a run's folder back.

    Raises:
        UserError: it is missing, or is not what :func:`write_results` writes.
    """
    path = Path(folder) / "test.json"
    if not path.is_file():
        raise UserError(f"`{path}` does not exist; write it first: python evaluate.py -d {folder}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        scores = tuple(map(_score, content.pop("scores")))
        targets = tuple(content.pop("targets"))
        content.pop("summary")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"`{path}` is no evaluation of this program ({error!r}); evaluate that run again") from error
    return Evaluation(content, targets, scores)


def _score(row: dict[str, Any]) -> Score:
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
