"""What a dataset holds: loudness and silence of stems, the energy in their bands, and how much they move together."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor
from torchaudio.functional import loudness

from demixer.figures.bands import TICKS_HZ, BandRows, band_edges_hz
from demixer.figures.palette import color
from demixer.figures.sound import spectrum_db
from demixer.figures.style import INK, frequency_ticks, name_axis, new_figure, tint

SILENT_DB = -60.0
STEP_SECONDS = 0.1


def loudness_lufs(waveform: Tensor, sample_rate_hz: int) -> float:
    """Integrated loudness (ITU-R BS.1770-4) of (C, L) in LUFS; minus infinity for silence."""
    value = loudness(waveform, sample_rate_hz).item() if waveform.any() else -np.inf
    return -np.inf if np.isnan(value) else value


def levels_db(waveform: Tensor, sample_rate_hz: int, floor_db: float = -80.0) -> Tensor:
    """Root mean square of each tenth of a second of (C, L) in dB below full scale, at least ``floor_db``."""
    steps = waveform.unfold(-1, round(STEP_SECONDS * sample_rate_hz), round(STEP_SECONDS * sample_rate_hz))
    return 10 * torch.log10(steps.square().mean(dim=(0, 2)).clamp(min=10 ** (floor_db / 10)))


def silent_share(waveform: Tensor, sample_rate_hz: int) -> float:
    """Share of the tenths of a second whose level is below −60 dB."""
    return (levels_db(waveform, sample_rate_hz) < SILENT_DB).float().mean().item()


def band_levels_db(waveform: Tensor, sample_rate_hz: int, bands_hz: BandRows) -> Tensor:
    """Share of the energy of (C, L) in each band (K) of a table, in dB: 0 dB where one band holds all of it."""
    frequency_hz, level_db = spectrum_db(waveform, sample_rate_hz)
    power = 10 ** (level_db / 10)
    inner_edges = torch.tensor(band_edges_hz(bands_hz, sample_rate_hz)[1:-1])
    band = torch.bucketize(frequency_hz, inner_edges, right=True)
    energy = torch.zeros(len(inner_edges) + 1).index_add(0, band, power)
    return 10 * torch.log10((energy / energy.sum()).clamp(min=1e-10))


def correlation(series: Tensor) -> Tensor:
    """Pearson's r of every pair of rows of (S, L); 0 with a row that never changes."""
    centred = series - series.mean(dim=1, keepdim=True)
    scaled = centred / centred.norm(dim=1, keepdim=True).clamp(min=1e-9)
    return scaled @ scaled.T


def per_song(values: Mapping[str, Sequence[float]], label: str) -> Figure:
    """One row per name, one dot per song, and the median as a line."""
    figure, (axis,) = new_figure(1, 9, 0.6 * len(values) + 0.9)
    for row, (name, numbers) in enumerate(values.items()):
        finite = np.array([number for number in numbers if np.isfinite(number)])
        height = row + np.random.default_rng(row).uniform(-0.22, 0.22, len(finite))
        axis.scatter(finite, height, 26, color=tint(name, 0.6), edgecolors="white", linewidths=0.4)
        if len(finite):
            axis.plot([np.median(finite)] * 2, [row - 0.36, row + 0.36], color=color(name), linewidth=2.5)
    if axis.dataLim.x0 >= 0:  # from zero, so that songs that are all alike look alike
        right = axis.get_xlim()[1]
        axis.set_xlim(-0.03 * right, right)
    axis.set(yticks=range(len(values)), ylim=(len(values) - 0.5, -0.5), xlabel=label)
    axis.set_yticklabels(values, fontweight="bold")
    for tick, name in zip(axis.get_yticklabels(), values, strict=True):
        tick.set_color(color(name))
    return figure


def band_energies(
    levels: Mapping[str, Sequence[Tensor]], tables: Mapping[str, BandRows], sample_rate_hz: int
) -> Figure:
    """Share of each target's energy in the bands of its own table: every song a thin line, their mean a thick one."""
    figure, axes = new_figure(len(levels), 9, 1.6 * len(levels) + 0.4)
    for axis, (target, songs) in zip(axes, levels.items(), strict=True):
        edges_hz = band_edges_hz(tables[target], sample_rate_hz)
        for song in songs:
            axis.stairs(song.numpy(), edges_hz, baseline=None, color=tint(target, 0.35), linewidth=0.8)
        mean_db = 10 * np.log10(np.mean([10 ** (song.numpy() / 10) for song in songs], axis=0))
        axis.stairs(mean_db, edges_hz, baseline=None, color=color(target), linewidth=2)
        axis.set_xscale("symlog", linthresh=1000, linscale=0.6)
        axis.set(xlim=(0, sample_rate_hz / 2), ylim=(-90, 0), ylabel="dB")
        name_axis(axis, target)
        frequency_ticks(axis.xaxis, TICKS_HZ)
    axes[-1].set_xlabel("frequency in Hz")
    return figure


def correlations(matrices: Mapping[str, Tensor], names: Sequence[str]) -> Figure:
    """Tables of Pearson's r between stems, side by side; red moves together, blue against each other."""
    figure, axes = new_figure(1, 4.4 * len(matrices), 4.0, columns=len(matrices))
    for axis, (title, matrix) in zip(axes, matrices.items(), strict=True):
        axis.imshow(matrix.numpy(), "RdBu_r", vmin=-1, vmax=1)
        axis.set(xticks=range(len(names)), yticks=range(len(names)), title=title)
        axis.set_xticklabels(names)
        axis.set_yticklabels(names)
        axis.grid(visible=False)
        for row, column in np.ndindex(*matrix.shape):
            value = matrix[row, column].item()
            ink = "white" if abs(value) > 0.6 else INK
            axis.text(column, row, f"{value:z.2f}", ha="center", va="center", color=ink)
    return figure
