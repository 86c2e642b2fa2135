"""What an evaluation found: scores per song and target, their summary, and the files that hold them."""

import csv
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from demixer.errors import UserError
from demixer.evaluation.metrics import finite_mean, finite_median, without_nan
from demixer.temporary import atomic_path


@dataclass(frozen=True)
class Score:
    """One target of one song: the estimate's SDRs, and those that the plain mixture would have as its estimate."""

    song: str
    target: str
    usdr_db: float
    csdr_db: float
    mixture_usdr_db: float
    mixture_csdr_db: float


METRICS = tuple(field.name for field in fields(Score) if field.name.endswith("_db"))


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

    def of(self, target: str) -> list[Score]:
        """The scores of one target, song by song."""
        return [score for score in self.scores if score.target == target]


def summarise(evaluation: Evaluation) -> dict[str, dict[str, float]]:
    """Per target: the mean uSDR and the median cSDR over songs, and how many songs had one; then their mean.

    A song without a cSDR (no second in which everything sounds) is left out of the median and of ``songs_csdr``.
    """
    summary = {}
    for target in evaluation.targets:
        scores = evaluation.of(target)
        summary[target] = {name: _over_songs(name)(getattr(score, name) for score in scores) for name in METRICS}
        for name in ("usdr", "csdr"):
            summary[target][f"songs_{name}"] = len(without_nan(getattr(score, f"{name}_db") for score in scores))
    summary["mean"] = {name: finite_mean(summary[target][name] for target in evaluation.targets) for name in METRICS}
    return summary


def _over_songs(metric: str) -> Callable[[Iterable[float]], float]:
    return finite_median if "csdr" in metric else finite_mean


def write_results(folder: Path, evaluation: Evaluation, command: str = "") -> None:
    """Write ``test.json``, ``test.csv`` and ``test.log`` into ``folder``, each atomically.

    Only the log tells the ``command``: it may name places on this machine, and a saved model is passed on.
    """
    content = {
        **evaluation.about,
        "targets": list(evaluation.targets),
        "summary": summarise(evaluation),
        "scores": [asdict(score) for score in evaluation.scores],
    }
    _write(folder / "test.json", json.dumps(_portable(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    with atomic_path(folder / "test.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.DictWriter(file, [field.name for field in fields(Score)], lineterminator="\n")
        rows.writeheader()
        rows.writerows(asdict(score) for score in evaluation.scores)
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
        scores = tuple(
            Score(row["song"], row["target"], *(math.nan if row[m] is None else float(row[m]) for m in METRICS))
            for row in content.pop("scores")
        )
        targets = tuple(content.pop("targets"))
        content.pop("summary")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"`{path}` is no evaluation of this program ({error!r}); evaluate that run again") from error
    return Evaluation(content, targets, scores)


def log_lines(evaluation: Evaluation) -> list[str]:
    """The evaluation as lines to read: what was measured, every song, and the summary."""
    lines = [f"{name}: {_plain(value)}" for name, value in evaluation.about.items()]
    lines += ["", "song | target | uSDR | cSDR | the mixture's uSDR | the mixture's cSDR   (dB)"]
    for score in evaluation.scores:
        numbers = " | ".join(decibels(getattr(score, name)) for name in METRICS)
        lines.append(f"{score.song} | {score.target} | {numbers}")
    lines += ["", "summary: uSDR is the mean over songs, cSDR the median over songs of the median over windows"]
    for target, row in summarise(evaluation).items():
        numbers = " | ".join(decibels(row[name]) for name in METRICS)
        lines.append(f"{target} | {numbers}" + counted(row, len(evaluation.songs)))
    return lines


def counted(row: dict[str, float], songs: int) -> str:
    """Says how many songs a summary's row rests on."""
    if "songs_usdr" not in row:
        return ""
    if row["songs_usdr"] == row["songs_csdr"] == songs:
        return f" | {songs} songs"
    return f" | uSDR of {row['songs_usdr']}, cSDR of {row['songs_csdr']} of {songs} songs"


def decibels(value: float | None, sign: bool = False, digits: int = 2) -> str:
    """A number as people read it: two decimals, no sign where they are zero, a dash where there is none.

    >>> decibels(3.14159), decibels(-0.5, sign=True), decibels(-0.001, sign=True), decibels(math.nan)
    ('3.14', '−0.50', '0.00', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    plus = "+" if sign and round(value, digits) else ""
    return f"{value:{plus}z.{digits}f}".replace("inf", "∞").replace("-", "−")


def _plain(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


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
