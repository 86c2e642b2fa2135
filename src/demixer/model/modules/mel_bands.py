"""Bands that overlap as the ear's do."""

import math

import torch

# Slaney's mel scale: linear up to 1000 Hz, logarithmic from there on
_HZ_PER_MEL, _MEL_BREAK, _LOG_STEP = 200 / 3, 15.0, math.log(6.4) / 27


def mel_bands(count: int, n_fft: int, sample_rate_hz: int) -> tuple[list[int], list[int]]:
    """Bands that overlap: each reaches over the bins of one filter of a mel filter bank (Slaney's scale).

    Args:
        count: K.
        n_fft: length of the Fourier transform.
        sample_rate_hz: sample rate of the waveform in Hz.

    Returns:
        Each band's first bin, and its width in bins. The first band also has the lowest bin, the last the highest.

    Raises:
        ValueError: a band or a bin would be left over.

    >>> mel_bands(4, n_fft=16, sample_rate_hz=16000)
    ([0, 1, 2, 3], [2, 2, 3, 6])
    """
    nyquist_hz, bins = sample_rate_hz / 2, n_fft // 2 + 1
    if not 1 <= count <= bins:
        raise ValueError(f"`mel_bands` (={count}) must lie in 1 … {bins}, the number of bins")
    mels = torch.linspace(0, _mel(nyquist_hz), count + 2, dtype=torch.float64, device="cpu")
    edges_hz = torch.where(mels < _MEL_BREAK, mels * _HZ_PER_MEL, 1000 * torch.exp((mels - _MEL_BREAK) * _LOG_STEP))
    bins_hz = torch.arange(bins, dtype=torch.float64, device="cpu") * (sample_rate_hz / n_fft)
    inside = (bins_hz > edges_hz[:-2, None]) & (bins_hz < edges_hz[2:, None])
    inside[0, 0] = inside[-1, -1] = True
    firsts, widths = inside.int().argmax(1).tolist(), inside.sum(1).tolist()
    if min(widths) < 1 or not inside.any(0).all():
        raise ValueError(f"`mel_bands` (={count}) leave a band or a bin empty at `n_fft` (={n_fft})")
    return firsts, widths


def _mel(frequency_hz: float) -> float:
    linear = frequency_hz / _HZ_PER_MEL
    return linear if frequency_hz < 1000 else _MEL_BREAK + math.log(frequency_hz / 1000) / _LOG_STEP
