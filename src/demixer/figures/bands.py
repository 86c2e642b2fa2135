"""The band tables: where each target's network cuts the spectrum."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from demixer.figures.numbers import hertz
from demixer.figures.palette import color
from demixer.figures.style import FAINT, INK, frequency_ticks, name_axis, new_figure, tint

TICKS_HZ = (0, 500, 1000, 2000, 4000, 8000, 16_000)
BandRows = Sequence[tuple[float, float]]


def band_runs(bands_hz: BandRows, sample_rate_hz: int) -> list[tuple[float, float, float]]:
    """Runs of equally wide bands as (from, up to, width) in Hz; the last is the rest up to half the sample rate.

    >>> band_runs([(1000, 500), (4000, 1000)], 16_000)
    [(0.0, 1000.0, 500.0), (1000.0, 4000.0, 1000.0), (4000.0, 8000.0, 4000.0)]
    """
    runs, low_hz = [], 0.0
    for up_to_hz, width_hz in [*bands_hz, (sample_rate_hz / 2, None)]:
        if up_to_hz > low_hz:
            runs.append((low_hz, float(up_to_hz), float(width_hz or up_to_hz - low_hz)))
        low_hz = float(up_to_hz)
    return runs


def band_edges_hz(bands_hz: BandRows, sample_rate_hz: int) -> list[float]:
    """Every edge from 0 Hz to half the sample rate, one more than there are bands.

    >>> band_edges_hz([(1000, 500), (4000, 1000)], 16_000)
    [0.0, 500.0, 1000.0, 2000.0, 3000.0, 4000.0, 8000.0]
    """
    runs = band_runs(bands_hz, sample_rate_hz)
    return [0.0, *(low + width * (i + 1) for low, up, width in runs for i in range(round((up - low) / width)))]


def band_tables(tables: Mapping[str, BandRows], sample_rate_hz: int) -> Figure:
    """One strip per target, its bands in alternating shades, and over them how many bands of which width."""
    figure, axes = new_figure(len(tables), 10, 0.95 * len(tables) + 0.5)
    for axis, (target, bands_hz) in zip(axes, tables.items(), strict=True):
        edges_hz = band_edges_hz(bands_hz, sample_rate_hz)
        axis.set_xscale("symlog", linthresh=1000, linscale=0.6)
        axis.set(xlim=(0, sample_rate_hz / 2), ylim=(0, 1.6), yticks=())
        for k, (low_hz, high_hz) in enumerate(pairwise(edges_hz)):
            shade = tint(target, (0.85, 0.5)[k % 2])
            axis.add_patch(Rectangle((low_hz, 0), high_hz - low_hz, 1, facecolor=shade, linewidth=0))
        _label_runs(axis, bands_hz, sample_rate_hz)
        name_axis(axis, target)
        axis.set_title(f"{len(edges_hz) - 1} bands", loc="right", color=color(target), fontsize=12)
        axis.spines[["left", "bottom"]].set_visible(False)
        axis.grid(visible=False)
        axis.tick_params(length=0)
        frequency_ticks(axis.xaxis, TICKS_HZ)
    axes[-1].set_xlabel("frequency in Hz, linear up to 1 kHz, logarithmic above; the last band is the rest")
    return figure


def _label_runs(axis: Axes, bands_hz: BandRows, sample_rate_hz: int) -> None:
    """Write count × width over each run, centred, and a line where it ends; the rest needs no words."""
    to_shares = axis.transScale + axis.transLimits
    for low_hz, high_hz, width_hz in band_runs(bands_hz, sample_rate_hz):
        count = round((high_hz - low_hz) / width_hz)
        middle = to_shares.transform([(low_hz, 0), (high_hz, 0)])[:, 0].mean()
        where = {"transform": axis.get_yaxis_transform(), "ha": "center", "va": "bottom"}
        if count > 1:
            axis.text(middle, 1.12, f"{count} × {hertz(width_hz)}", fontsize=10, color=INK, **where)
            axis.plot([high_hz, high_hz], [0, 1.6], color=FAINT, linewidth=1)
