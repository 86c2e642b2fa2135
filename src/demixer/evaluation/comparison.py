"""Two runs side by side: the same songs, one difference each, and whether chance alone would explain the sign."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from demixer.errors import UserError
from demixer.evaluation.metrics import finite_mean, finite_median
from demixer.evaluation.scores import Evaluation


@dataclass(frozen=True)
class Paired:
    """One target and metric in two runs, over the songs for which both have a value."""

    target: str
    metric: str
    songs: tuple[str, ...]
    ours_db: tuple[float, ...]
    theirs_db: tuple[float, ...]

    @property
    def differences_db(self) -> list[float]:
        """Ours minus theirs, song by song."""
        return [a - b for a, b in zip(self.ours_db, self.theirs_db, strict=True)]

    @property
    def middle_db(self) -> float:
        """The middle of the differences, as the metric is summed up: the mean for uSDR, the median for cSDR."""
        return (finite_median if self.metric == "csdr_db" else finite_mean)(self.differences_db)

    @property
    def wins(self) -> int:
        return sum(difference > 0 for difference in self.differences_db)

    @property
    def losses(self) -> int:
        return sum(difference < 0 for difference in self.differences_db)

    @property
    def p_value(self) -> float:
        return sign_test(self.wins, self.losses)


def compare(ours: Evaluation, theirs: Evaluation, metrics: Sequence[str] = ("usdr_db", "csdr_db")) -> list[Paired]:
    """Pair two evaluations song by song, for every metric and every target that both have.

    Raises:
        UserError: they have no target or no song in common.
    """
    pairs = [
        _pair(ours, theirs, target, metric) for metric in metrics for target in ours.targets if target in theirs.targets
    ]
    if not any(pair.songs for pair in pairs):
        raise UserError(
            f"{_name(ours)} and {_name(theirs)} have no song and target in common; evaluate both on the same songs"
        )
    return pairs


def sign_test(wins: int, losses: int) -> float:
    """The two-sided exact sign test: how probable so one-sided a count is if each song were the toss of a coin.

    Ties are left out beforehand (Dixon & Mood 1946).

    >>> sign_test(9, 1)
    0.021484375
    """
    tosses = wins + losses
    tail = sum(math.comb(tosses, k) for k in range(min(wins, losses) + 1))
    return min(1.0, 2 * tail / 2**tosses)


def _pair(ours: Evaluation, theirs: Evaluation, target: str, metric: str) -> Paired:
    first = {score.song: getattr(score, metric) for score in ours.of(target)}
    second = {score.song: getattr(score, metric) for score in theirs.of(target)}
    songs = [s for s in first if s in second and math.isfinite(first[s]) and math.isfinite(second[s])]
    return Paired(target, metric, tuple(songs), tuple(first[s] for s in songs), tuple(second[s] for s in songs))


def _name(evaluation: Evaluation) -> str:
    return f"`{evaluation.about.get('model', '?')}` ({evaluation.about.get('subset', '?')})"
