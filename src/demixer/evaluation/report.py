"""An evaluation as one web page that needs nothing else: tables, strip plots, and songs to see and to hear."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from demixer.evaluation.comparison import Paired
from demixer.evaluation.gallery import Excerpt, Gallery, data_uri, mp3_uri
from demixer.evaluation.metrics import finite_mean
from demixer.evaluation.results import Evaluation, Score, summarise
from demixer.evaluation.strip_plot import Strip, plot
from demixer.evaluation.wording import counted, decibels
from demixer.figures.numbers import clock
from demixer.figures.palette import ACCENT, colors
from demixer.figures.spectrogram import height, paint, spectrogram_power
from demixer.temporary import atomic_path

MARKS_HZ = {"500 Hz": 500, "2 kHz": 2000, "8 kHz": 8000}
METRIC_NAMES = {"usdr_db": "uSDR", "csdr_db": "cSDR"}


def write_report(
    path: Path, evaluation: Evaluation, gallery: Gallery, pairs: Sequence[Paired] = (), other: Evaluation | None = None
) -> None:
    """Write the page of ``evaluation`` to ``path``, atomically.

    Args:
        path: the HTML file.
        evaluation: what was measured.
        gallery: excerpts of the best and the worst songs.
        pairs: the differences from another run (:func:`demixer.evaluation.comparison.compare`), if there is one.
        other: that run.
    """
    page = render(evaluation, gallery, pairs, other)
    with atomic_path(path) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")


def render(
    evaluation: Evaluation, gallery: Gallery, pairs: Sequence[Paired] = (), other: Evaluation | None = None
) -> str:
    """The page of :func:`write_report` as text."""
    folder = FileSystemLoader(Path(__file__).parent)
    environment = Environment(
        loader=folder, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"db": decibels, "clock": clock, "p_value": _p_value}
    summary = summarise(evaluation)
    notes = {target: counted(row, len(evaluation.songs)).lstrip(" |") for target, row in summary.items()}
    return environment.get_template("report.html.j2").render(
        about=evaluation.about,
        targets=evaluation.targets,
        accent=ACCENT,
        colours=colors(evaluation.targets),
        metric_names=METRIC_NAMES,
        summary=summary,
        notes=notes,
        rows=_rows(evaluation),
        plots={metric: plot(_strips(evaluation, summary, metric)) for metric in METRIC_NAMES},
        cases=[_case(kind, excerpt) for kind, excerpt in _excerpts(evaluation.targets, gallery)],
        other=other.about if other else None,
        pairs=pairs,
        differences={metric: plot(_difference_strips(pairs, metric)) for metric in METRIC_NAMES if pairs},
        difference_rows=_difference_rows(pairs),
    )


def _strips(evaluation: Evaluation, summary: dict[str, dict[str, float]], metric: str) -> list[Strip]:
    return [
        Strip(
            target,
            _values(evaluation.of(target), metric),
            summary[target][metric],
            summary[target][f"mixture_{metric}"],
        )
        for target in evaluation.targets
    ]


def _values(scores: Iterable[Score], metric: str) -> dict[str, float]:
    return {score.song: getattr(score, metric) for score in scores if not math.isnan(getattr(score, metric))}


def _difference_strips(pairs: Sequence[Paired], metric: str) -> list[Strip]:
    return [
        Strip(pair.target, dict(zip(pair.songs, pair.differences_db, strict=True)), pair.middle_db)
        for pair in pairs
        if pair.metric == metric
    ]


def _difference_rows(pairs: Sequence[Paired]) -> dict[str, dict[tuple[str, str], tuple[float, float, float]]]:
    """Song → (target, metric) → (ours, theirs, difference)."""
    rows: dict[str, dict[tuple[str, str], tuple[float, float, float]]] = {}
    for pair in pairs:
        for song, ours, theirs in zip(pair.songs, pair.ours_db, pair.theirs_db, strict=True):
            rows.setdefault(song, {})[pair.target, pair.metric] = (ours, theirs, ours - theirs)
    return dict(sorted(rows.items()))


def _rows(evaluation: Evaluation) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, dict[str, Any]]] = {song: {} for song in evaluation.songs}
    for score in evaluation.scores:
        rows[score.song][score.target] = asdict(score)
    return [
        {"song": song, "scores": scores, "mean": finite_mean(score["usdr_db"] for score in scores.values())}
        for song, scores in rows.items()
    ]


def _excerpts(targets: Iterable[str], gallery: Gallery) -> Iterable[tuple[str, Excerpt]]:
    for target in targets:
        if target in gallery.best:
            best, worst = gallery.best[target], gallery.worst[target]
            yield "best" if best.song != worst.song else "only", best
            if best.song != worst.song:
                yield "worst", worst


def _case(kind: str, excerpt: Excerpt) -> dict[str, Any]:
    rate_hz = excerpt.sample_rate_hz
    powers = {name: spectrogram_power(waveform) for name, waveform in excerpt.waveforms.items()}
    sounds = {
        name: {
            "sound": mp3_uri(excerpt.waveforms[name], rate_hz),
            "picture": data_uri("image/webp", paint(power, rate_hz, powers["mixture"].max(), "webp")),
        }
        for name, power in powers.items()
    }
    marks = {name: round(100 * height(hz, rate_hz), 1) for name, hz in MARKS_HZ.items() if hz < rate_hz / 2}
    times = {"start": excerpt.start_seconds, "end": excerpt.start_seconds + excerpt.seconds}
    named = {"kind": kind, "song": excerpt.song, "target": excerpt.target, "usdr_db": excerpt.usdr_db}
    return {**named, **times, "sounds": sounds, "marks": marks}


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
