"""Sound to look at: waveform, spectrum and spectrogram of the mixture and its stems, each in its source's colour."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from demixer.figures.numbers import hertz
from demixer.figures.palette import color
from demixer.figures.spectrogram import FLOOR_DB, SHADES, height, picture_db, spectrogram_power
from demixer.figures.style import frequency_ticks, name_axis, new_figure, tint

OCTAVES_HZ = (50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
MEL_TICKS_HZ = (0, 500, 1000, 2000, 4000, 8000, 16_000)


def spectrum_db(waveform: Tensor, sample_rate_hz: int, window_seconds: float = 0.2) -> tuple[Tensor, Tensor]:
    """Mean power at each frequency, in dB; 0 dB is a sine of full scale.

    Hann windows of ``window_seconds`` that overlap by half; with 0.2 s a bin is 5 Hz wide.

    Args:
        waveform: (C, L); the channels' powers are averaged.
        sample_rate_hz: Of the waveform.
        window_seconds: The longer, the finer the frequencies.

    Returns:
        The frequencies in Hz (F) and the levels in dB (F).
    """
    size = round(window_seconds * sample_rate_hz)
    window = torch.hann_window(size)
    bins = torch.stft(waveform, size, size // 2, window=window, center=waveform.shape[-1] < size, return_complex=True)
    amplitude = bins.abs() * 2 / window.sum()
    power = amplitude.square().mean(dim=(0, 2))
    return torch.fft.rfftfreq(size, 1 / sample_rate_hz), 10 * torch.log10(power.clamp(min=1e-14))


def waveforms(sounds: Mapping[str, Tensor], sample_rate_hz: int) -> Figure:
    """Amplitude over time: per pixel column the extremes (pale) and the root mean square (strong) of (C, L)."""
    figure, axes = new_figure(len(sounds), 9, 1.25 * len(sounds) + 0.4)
    loudest = max(waveform.abs().max().item() for waveform in sounds.values()) or 1.0
    for axis, (name, waveform) in zip(axes, sounds.items(), strict=True):
        columns = _columns(waveform, 1200).numpy()
        time = np.linspace(0, waveform.shape[-1] / sample_rate_hz, len(columns))
        high, low, rms = columns.max(1), columns.min(1), np.sqrt(np.square(columns).mean(1))
        axis.fill_between(time, low, high, color=tint(name, 0.45), linewidth=0)
        axis.fill_between(time, -rms, rms, color=color(name), linewidth=0)
        name_axis(axis, name)
        axis.set(ylim=(-1.05 * loudest, 1.05 * loudest), xlim=(0, time[-1]), yticks=(0,))
        axis.set_yticklabels(["0"])
    axes[-1].set_xlabel("time in seconds")
    return figure


def spectrums(sounds: Mapping[str, Tensor], sample_rate_hz: int) -> Figure:
    """Level over frequency, averaged over time; the mixture stands behind each stem for comparison."""
    figure, axes = new_figure(len(sounds), 9, 1.6 * len(sounds) + 0.4)
    levels = {name: torch.stack(spectrum_db(sound, sample_rate_hz)).numpy()[:, 1:] for name, sound in sounds.items()}
    top = max(level_db.max().item() for _, level_db in levels.values()) + 5
    for axis, (name, (frequency_hz, level_db)) in zip(axes, levels.items(), strict=True):
        if "mixture" in levels and name != "mixture":
            axis.plot(*levels["mixture"], color="#BBBBBB", linewidth=0.8)
        axis.fill_between(frequency_hz, level_db, top - 120, color=tint(name, 0.25), linewidth=0)
        axis.plot(frequency_hz, level_db, color=color(name), linewidth=1)
        name_axis(axis, name)
        axis.set(ylim=(top - 90, top), ylabel="dB", xscale="log", xlim=(30, sample_rate_hz / 2))
        frequency_ticks(axis.xaxis, OCTAVES_HZ)
    axes[-1].set_xlabel("frequency in Hz")
    return figure


def spectrograms(sounds: Mapping[str, Tensor], sample_rate_hz: int) -> Figure:
    """Level over time and (mel) frequency, each with 0 dB at its own maximum, in steps of 2 dB."""
    shades = matplotlib.colormaps[SHADES].resampled(40)
    ticks_hz = [tick for tick in MEL_TICKS_HZ if tick <= sample_rate_hz / 2]
    figure, axes = new_figure(len(sounds), 9, 1.9 * len(sounds) + 0.4)
    for axis, (name, waveform) in zip(axes, sounds.items(), strict=True):
        extent = (0, waveform.shape[-1] / sample_rate_hz, 0, 1)
        rows = picture_db(spectrogram_power(waveform), sample_rate_hz, 300)
        picture = axis.imshow(rows, shades, vmin=FLOOR_DB, vmax=0, extent=extent, origin="lower", aspect="auto")
        name_axis(axis, name)
        axis.set(ylabel="Hz", yticks=[height(tick, sample_rate_hz) for tick in ticks_hz])
        axis.set_yticklabels([hertz(tick) for tick in ticks_hz])
        axis.grid(visible=False)
    axes[-1].set_xlabel("time in seconds")
    figure.colorbar(picture, ax=axes, label="dB below the loudest", aspect=50, pad=0.01)
    return figure


def _columns(waveform: Tensor, count: int) -> Tensor:
    """Cut (C, L) into at most ``count`` equal parts (parts, samples), channels side by side; the last is padded."""
    size = max(1, -(-waveform.shape[-1] // count))
    padded = torch.nn.functional.pad(waveform, (0, -waveform.shape[-1] % size))
    return padded.unflatten(-1, (-1, size)).transpose(0, 1).flatten(1)
