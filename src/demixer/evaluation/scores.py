"""What an evaluation finds: scores per song and target, and their summary."""

import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from demixer.evaluation.metrics import finite_mean, finite_median, without_nan


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
MEDIANS = ("csdr_db", "mixture_csdr_db", "isr_db", "sir_db", "sar_db")  # over songs, as over the windows of each
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

    Of further metrics, BSSEval's are medians, too, and others means. A song without a cSDR (no second in which
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


def is_median(metric: str) -> bool:
    """Whether a metric is summed up over songs by the median, as museval does it, and not by the mean."""
    return metric in MEDIANS or metric.startswith(MUSEVAL)


def _over_songs(metric: str) -> Callable[[Iterable[float]], float]:
    return finite_median if is_median(metric) else finite_mean
