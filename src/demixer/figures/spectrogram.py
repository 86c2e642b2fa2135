"""A spectrogram as a picture: power → level in dB → rows at even steps of mel → colours."""

import io

import numpy as np
import torch
from matplotlib.image import imsave
from torch import Tensor

FFT_SAMPLES, HOP_SAMPLES = 2048, 512
FLOOR_DB = -80.0
SHADES = "magma"  # from black to bright, and even to the eye
ROWS = 192  # of a painted picture


def spectrogram_power(waveform: Tensor) -> Tensor:
    """Power of each bin and frame (F, T) of (C, L), the channels' mean: 2048 samples, every 512, Hann."""
    window = torch.hann_window(FFT_SAMPLES)
    bins = torch.stft(waveform, FFT_SAMPLES, HOP_SAMPLES, window=window, pad_mode="constant", return_complex=True)
    return bins.abs().square().mean(dim=0)


def relative_db(power: Tensor, loudest: Tensor | None = None) -> Tensor:
    """Level (F, T) of a power (F, T) in dB, cut off at ``FLOOR_DB``; silence is all floor.

    Args:
        power: (F, T).
        loudest: the power that is 0 dB (a scalar); None: the greatest of ``power``.
    """
    reference = (power.max() if loudest is None else loudest).clamp(min=1e-20)
    return 10 * torch.log10((power / reference).clamp(min=10 ** (FLOOR_DB / 10)))


def height(frequency_hz: float, sample_rate_hz: int) -> float:
    """Where a frequency stands on the axis: 0 Hz at 0, half the sample rate at 1, even steps of mel (O'Shaughnessy).

    >>> height(0, 44_100), round(height(1000, 44_100), 3), height(22_050, 44_100)
    (0.0, 0.255, 1.0)
    """
    return float(np.log1p(frequency_hz / 700) / np.log1p(sample_rate_hz / 2 / 700))


def mel_rows(values: np.ndarray, sample_rate_hz: int, count: int) -> np.ndarray:
    """Values of bins (F, T) to ``count`` rows at even steps of :func:`height`, the lowest first.

    Each row is the greatest of its bins, or the nearest one where bins are further apart than rows.
    """
    nyquist_hz = sample_rate_hz / 2
    edges_hz = 700 * np.expm1(np.linspace(0, np.log1p(nyquist_hz / 700), count, endpoint=False))
    return np.maximum.reduceat(values, np.rint(edges_hz / nyquist_hz * (len(values) - 1)).astype(int))


def picture_db(power: Tensor, sample_rate_hz: int, rows: int, loudest: Tensor | None = None) -> np.ndarray:
    """What a picture shows of a power (F, T): :func:`relative_db` in :func:`mel_rows` (rows, T)."""
    return mel_rows(relative_db(power, loudest).numpy(), sample_rate_hz, rows)


def paint(power: Tensor, sample_rate_hz: int, loudest: Tensor | None = None, kind: str = "png") -> bytes:
    """A picture's file, without axes: time across, frequency upwards (:func:`height`), brighter is louder.

    Args:
        power: (F, T), as of :func:`spectrogram_power`; a picture is T pixels wide and ``ROWS`` high.
        sample_rate_hz: of the sound.
        loudest: the power that is brightest, as in :func:`relative_db`; the same one makes pictures comparable.
        kind: "png", or the smaller and not quite exact "webp".
    """
    file, rows = io.BytesIO(), picture_db(power, sample_rate_hz, ROWS, loudest)
    imsave(file, rows, FLOOR_DB, 0, SHADES, kind, "lower", pil_kwargs={"quality": 80})  # a png has no quality to lose
    return file.getvalue()
