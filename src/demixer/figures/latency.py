"""What latency costs in quality: the points of ``images/latency.csv``."""

import csv
from pathlib import Path

from matplotlib.figure import Figure

from demixer.figures.palette import color
from demixer.figures.style import INK, new_figure

Points = list[tuple[float | None, dict[str, float]]]  # latency in ms, None offline; uSDR in dB by target and "mean"


def read_points(path: Path) -> Points:
    """Read the table (point, latency_ms, steps, uSDR in dB by target, mean); without a latency is offline."""
    points: Points = []
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            latency_ms = row.pop("latency_ms")
            scores = {name: float(value) for name, value in row.items() if name not in ("point", "steps")}
            points.append((float(latency_ms) if latency_ms else None, scores))
    return points


def latency_curve(points: Points) -> Figure:
    """How many decibels each latency reaches, and the network that hears the whole song last."""
    figure, (axis,) = new_figure(1, 8, 5)
    axis.set(xlabel="algorithmic latency", ylabel="uSDR in dB, validation songs")
    ticks = ["the whole song" if latency_ms is None else f"{latency_ms:.0f} ms" for latency_ms, _ in points]
    axis.set_xticks(range(len(points)), ticks)
    axis.set_xlim(-0.25, len(points) - 0.3)
    for target in points[0][1]:
        shade, width = (INK, 2.5) if target == "mean" else (color(target), 1.5)
        values = [scores[target] for _, scores in points]
        axis.plot(values, "o-", color=shade, linewidth=width, markersize=5)
        end = (len(points) - 1, values[-1])
        axis.annotate(target, end, (8, 0), textcoords="offset points", va="center", color=shade)
    return figure
