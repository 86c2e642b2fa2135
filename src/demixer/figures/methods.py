"""How separation got better: the published results of ``images/source_separation_methods.csv`` over the years."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise, product
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from demixer.figures.palette import color
from demixer.figures.style import INK, new_figure, tint

OWN_FAMILY = "BSRNN"  # the architecture of this project stands out
LINE_FROM = 17  # pixels between a dot and its name


@dataclass(frozen=True)
class Method:
    """A row of the table: SDR in dB on MUSDB18's test songs, averaged over the four stems, and who reported it."""

    name: str
    date: float
    sdr_db: float
    extra_data: bool
    source: str


def read_methods(path: Path) -> list[Method]:
    """Read the table (method, year, month, sdr_db, extra_data, source), oldest first."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            Method(
                row["method"],
                int(row["year"]) + (int(row["month"]) - 0.5) / 12,
                float(row["sdr_db"]),
                row["extra_data"] == "yes",
                row["source"],
            )
            for row in csv.DictReader(file)
        ]
    return sorted(rows, key=lambda method: (method.date, method.sdr_db))


def methods_over_years(methods: Sequence[Method]) -> Figure:
    """A dot per method, those with extra training data set apart, and the best result so far without such data."""
    figure, (axis,) = new_figure(1, 12, 9)
    axis.set(xlabel="year of publication", ylabel="SDR in dB, mean of vocals, drums, bass, other")
    first, last = min(m.date for m in methods), max(m.date for m in methods)
    axis.set(xlim=(first - 0.35, last + 0.75), ylim=(min(m.sdr_db for m in methods) - 0.5, 10.4))
    axis.set_xticks(range(int(np.ceil(first - 0.35)), int(last) + 1))
    _draw_best(axis, [method for method in methods if not method.extra_data])
    for extra, marker, key, label in (
        (True, "D", "vocals", "with extra training data (labelled or not)"),
        (False, "o", "drums", "MUSDB18 only"),
    ):
        chosen = [method for method in methods if method.extra_data == extra]
        where = [m.date for m in chosen], [m.sdr_db for m in chosen]
        axis.scatter(
            *where,
            s=70 if extra else 46,
            c=color(key),
            marker=marker,
            edgecolors="white",
            linewidths=0.8,
            label=label,
            zorder=3,
        )
    axis.legend(loc="lower right", frameon=False, fontsize=11)
    place_labels(axis, methods)
    return figure


def _draw_best(axis: Axes, methods: Sequence[Method]) -> None:
    best = list(accumulate((method.sdr_db for method in methods), max))
    dates = [method.date for method in methods]
    pale, words = tint("drums", 0.28), "best so far, MUSDB18 only"
    axis.step(dates, best, where="post", color=pale, linewidth=2.5, zorder=1, label=words)


def place_labels(axis: Axes, methods: Sequence[Method]) -> list[Bbox]:
    """Write each method's name at the nearest free place around its dot, and give the names' boxes in pixels.

    Names keep off dots, curves and each other. One that has to stand further off gets a thin line to its dot.

    Raises:
        ValueError: there is no room for a name.
    """
    axis.figure.draw_without_rendering()  # the layout settles where the axes are
    pixels = axis.transData
    dots = pixels.transform([(method.date, method.sdr_db) for method in methods])
    taken = [Bbox.from_bounds(x - 7, y - 7, 14, 14) for x, y in dots]
    for line in axis.lines:
        corners = pixels.transform(line.get_path().vertices)
        taken += [Bbox([start, end]).padded(2) for start, end in pairwise(corners)]
    names: list[Bbox] = []
    for method, dot in sorted(zip(methods, dots, strict=True), key=lambda item: item[0].sdr_db):
        weight = "bold" if OWN_FAMILY in method.name else "normal"
        text = axis.text(0, 0, method.name, fontsize=10.5, color=INK, weight=weight, va="center", zorder=4)
        size = text.get_window_extent()
        places = _places(*dot, size.width, size.height)
        box = next((place for place in places if _is_free(place, dot, dots, taken, names, axis.bbox)), None)
        if box is None:
            raise ValueError(f"no room for the name of `{method.name}`")
        text.set_position(pixels.inverted().transform((box.x0, (box.y0 + box.y1) / 2)))
        near = _nearest_point(box, dot)
        if np.hypot(*(near - dot)) > LINE_FROM:
            axis.plot(*pixels.inverted().transform([dot, near]).T, color="#AAAAAA", linewidth=0.8, zorder=2)
        taken.append(box)
        names.append(box)
    return names


def _places(x: float, y: float, width: float, height: float) -> Iterator[Bbox]:
    """Where a box may stand: right, left, above, below and askew of a dot, and the same further and further off."""
    slants = (0, 0.4, -0.4, 1, -1)
    sides = [*((right, up) for up in slants for right in (1, -1)), (0, 1), (0, -1)]
    for distance, (right, up) in product(range(9, 160, 5), sides):
        left = x + right * distance - width * (1 - right) / 2
        yield Bbox.from_bounds(left, y + up * (distance + height / 2) - height / 2, width, height)


def _is_free(
    box: Bbox, dot: np.ndarray, dots: np.ndarray, taken: Sequence[Bbox], names: Sequence[Bbox], inside: Bbox
) -> bool:
    """Whether a box touches nothing and is nearest to its own dot, or tied to it by a line that touches nothing."""
    line = np.linspace(dot, _nearest_point(box, dot), 30)
    if not all(inside.contains(*corner) for corner in (box.min, box.max)):
        return False
    if any(box.padded(1).overlaps(other) for other in taken) or any(n.contains(*p) for n in names for p in line):
        return False
    others = [other for other in dots if np.any(other != dot)]
    if np.hypot(*(line[-1] - dot)) > LINE_FROM:
        return all(np.hypot(*(line - other).T).min() > 7 for other in others)
    return all(np.hypot(*(line[-1] - dot)) <= np.hypot(*(_nearest_point(box, other) - other)) for other in others)


def _nearest_point(box: Bbox, dot: np.ndarray) -> np.ndarray:
    return np.clip(dot, box.min, box.max)
