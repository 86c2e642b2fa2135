"""One look for all pictures that matplotlib draws."""

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from demixer.figures.numbers import hertz
from demixer.figures.palette import color
from demixer.temporary import atomic_path

INK, FAINT = "#333333", "#D9D9D9"
RC = {
    "font.size": 11,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "figure.dpi": 100,
}


def tint(name: str, strength: float) -> tuple[float, float, float]:
    """A source's colour, mixed with white: strength 1 is the colour itself, 0 is white."""
    return tuple(1 - strength * (1 - part) for part in matplotlib.colors.to_rgb(color(name)))


def new_figure(rows: int, width_inches: float, height_inches: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure without global state (no pyplot), and its axes row by row; those of a column share their x axis."""
    with matplotlib.rc_context(RC):
        figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, sharex="col", squeeze=False)
    return figure, list(axes.flat)


def name_axis(axis: Axes, name: str) -> None:
    axis.set_title(name, loc="left", color=color(name), fontsize=12, fontweight="bold")


def frequency_ticks(axis: matplotlib.axis.Axis, ticks_hz: tuple[float, ...]) -> None:
    """Mark exactly ``ticks_hz``, written the short way, on an x or y axis."""
    axis.set_major_locator(FixedLocator(ticks_hz))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(hertz))


def save(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write a PNG, whole or not at all; 100 dots per inch keep pictures made of noise below a megabyte."""
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=dpi, facecolor="white", pil_kwargs={"optimize": True})
