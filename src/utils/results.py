"""What an evaluation found: scores per song and target, their summary, and the files and the table that hold them."""

import csv
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from utils.errors import UserError
from utils.metrics import finite_mean, finite_median, without_nan
from utils.paths import atomic_path


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


def screen_table(evaluation: Evaluation, width: int = 120) -> Table:
    """The scores as a table for a terminal ``width`` columns wide: a song a row, then the summary and the mixture."""
    digits, extra = (2, ("mean",)) if width >= 100 else (1, ())
    title = " · ".join(str(evaluation.about[key]) for key in ("model", "subset", "split") if evaluation.about.get(key))
    table = Table(title=f"{title}: uSDR / cSDR in dB", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("song", overflow="fold")
    for name in (*evaluation.targets, *extra):
        table.add_column(name, justify="right", no_wrap=True)
    by_song: dict[str, dict[str, Score]] = {}
    for score in evaluation.scores:
        by_song.setdefault(score.song, {})[score.target] = score
    for song, row in by_song.items():
        cells = {target: vars(score) for target, score in row.items()}
        cells["mean"] = {metric: finite_mean(getattr(score, metric) for score in row.values()) for metric in METRICS}
        table.add_row(Text(song), *(_cell(cells.get(name, {}), digits) for name in (*evaluation.targets, *extra)))
    table.add_section()
    summary = summarise(evaluation)
    rows = [summary[name] for name in (*evaluation.targets, *extra)]
    table.add_row("all songs: mean / median", *(_cell(row, digits) for row in rows), style="bold")
    table.add_row("the plain mixture", *(_cell(row, digits, "mixture_") for row in rows), style="dim")
    return table


def decibels(value: float | None, sign: bool = False, digits: int = 2) -> str:
    """A number as people read it: two decimals, a dash where there is none.

    >>> decibels(3.14159), decibels(-0.5, sign=True), decibels(math.nan)
    ('3.14', '−0.50', '–')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:{'+' if sign else ''}.{digits}f}".replace("inf", "∞").replace("-", "−")


def _cell(row: dict[str, float], digits: int, prefix: str = "") -> str:
    usdr_db, csdr_db = (decibels(row.get(f"{prefix}{name}_db"), digits=digits) for name in ("usdr", "csdr"))
    return f"{usdr_db} / {csdr_db}"


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
