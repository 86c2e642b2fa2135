"""How far a summary would move with other songs of the same kind: 95 % intervals by resampling the songs."""

import math
import warnings

import numpy as np

from demixer.evaluation.scores import Evaluation, is_median

RESAMPLINGS = 4000
SEED = 0


def intervals(evaluation: Evaluation, metric: str) -> dict[str, tuple[float, float]]:
    """The percentile bootstrap (Efron 1979) of a metric's summary, by target, and of the targets' mean.

    Songs are drawn with replacement, the same ones for all targets; a song without a score is left out as in the
    summary. The same scores give the same interval.

    Args:
        evaluation: the scores.
        metric: a column, such as ``usdr_db``.

    Returns:
        {target, or "mean": (lower, upper)} in the metric's unit; NaN with fewer than two songs.
    """
    songs = {song: i for i, song in enumerate(evaluation.songs)}
    table = np.full((len(evaluation.targets), len(songs)), math.nan)
    for row, target in enumerate(evaluation.targets):
        for score in evaluation.of(target):
            table[row, songs[score.song]] = score.row().get(metric, math.nan)
    drawn = np.random.default_rng(SEED).integers(0, len(songs), (RESAMPLINGS, len(songs)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of draws without a score: they are NaN
        summaries = (np.nanmedian if is_median(metric) else np.nanmean)(table[:, drawn], axis=-1)
        summaries = np.vstack([summaries, np.nanmean(summaries, axis=0)])
        edges = np.nanpercentile(summaries, (2.5, 97.5), axis=1)
    enough = [*((~np.isnan(table)).sum(1) > 1), len(songs) > 1]
    names = (*evaluation.targets, "mean")
    return {
        name: (float(low), float(high)) if many else (math.nan, math.nan)
        for name, low, high, many in zip(names, *edges, enough, strict=True)
    }
