"""Boxes, arrows and thumbnails for diagrams; places and sizes are in tenths of an inch from the lower left corner."""

from collections.abc import Mapping

import matplotlib
import numpy as np
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path
from torch import Tensor

from demixer.figures.palette import color
from demixer.figures.style import INK, RC

FILLS = {
    "Norm": "#EDEDED",
    "LSTM": "#CFE6F5",
    "GRU": "#CFE6F5",
    "Linear": "#FFF0CC",
    "GLU": "#D9F0E6",
    "tanh": "#D9F0E6",
}
Place = tuple[float, float, float, float]  # left, bottom, width, height


class Canvas:
    """A figure to draw a diagram on."""

    def __init__(self, width: float, height: float) -> None:
        with matplotlib.rc_context(RC):
            self.figure = Figure(figsize=(width / 10, height / 10))
            self.axis = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
        self.axis.set_axis_off()

    def text(self, x: float, y: float, words: str, size: float = 11, **style: str) -> None:
        self.axis.text(x, y, words, fontsize=size, **{"ha": "center", "va": "center", "color": INK, **style})

    def card(self, place: Place, fill: str = "#F6F6F6", edge: str = "#DDDDDD") -> None:
        left, bottom, width, height = place
        shape = FancyBboxPatch((left, bottom), width, height, boxstyle="round,pad=0,rounding_size=1")
        shape.set(facecolor=fill, edgecolor=edge, linewidth=1)
        self.axis.add_patch(shape)

    def box(self, place: Place, words: str, fill: str = "white", edge: str = INK) -> None:
        self.card(place, fill, edge)
        left, bottom, width, height = place
        self.text(left + width / 2, bottom + height / 2, words, 10.5, linespacing=1.15)

    def arrow(self, *points: tuple[float, float], style: str = "-|>") -> None:
        """A line through the points with its head at the last."""
        path = Path(points)
        arrow = FancyArrowPatch(path=path, arrowstyle=style, mutation_scale=13, color="#777777", linewidth=1.5)
        arrow.set(facecolor="#777777" if "|" in style else "none", capstyle="butt", joinstyle="round")
        self.axis.add_patch(arrow)

    def chain(self, left: float, bottom: float, boxes: Mapping[str, float], gap: float = 3) -> float:
        """A row of boxes, 5 high, given as words and width, with arrows between; gives the right end of the last."""
        for i, (words, width) in enumerate(boxes.items()):
            if i:
                self.arrow((left - gap + 0.2, bottom + 2.5), (left - 0.2, bottom + 2.5))
            fill = next((shade for kind, shade in FILLS.items() if kind in words), "white")
            self.box((left, bottom, width, 5), words.strip(), fill)
            left += width + gap
        return left - gap

    def wave(self, place: Place, waveform: Tensor, name: str, loudest: float) -> None:
        """A thumbnail of a waveform (C, L) in its source's colour."""
        left, bottom, width, height = place
        parts = np.array_split(np.abs(waveform.mean(0).numpy()), 150)
        peaks = np.array([part.max() for part in parts]) / loudest * height / 2
        middle = bottom + height / 2
        self.axis.fill_between(
            np.linspace(left, left + width, len(peaks)), middle - peaks, middle + peaks, color=color(name), linewidth=0
        )

    def image(self, place: Place, picture: np.ndarray, colors: Colormap, lowest: float, highest: float) -> None:
        left, bottom, width, height = place
        self.axis.imshow(
            picture,
            colors,
            extent=(left, left + width, bottom, bottom + height),
            vmin=lowest,
            vmax=highest,
            origin="lower",
            aspect="auto",
            zorder=2,
        )
        self.axis.add_patch(Rectangle((left, bottom), width, height, fill=False, edgecolor=INK, linewidth=1, zorder=3))


def fade_to(name: str) -> Colormap:
    """Colours from white to a source's own."""
    return LinearSegmentedColormap.from_list(name, ["white", color(name)])
