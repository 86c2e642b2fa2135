"""The spectrogram of a stem's file, drawn as the file streams by."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from demixer.audio import open_audio
from demixer.figures.spectrogram import FFT_SAMPLES, HOP_SAMPLES, paint, spectrogram_power
from demixer.temporary import atomic_path

COLUMNS = 1200  # at most


def draw_spectrogram(sound: Path, picture: Path) -> None:
    """Write a PNG of level over time and frequency (:func:`demixer.figures.spectrogram.paint`)."""
    with open_audio(sound) as audio:
        columns = list(_columns(audio.blocks(max(HOP_SAMPLES, -(-(audio.frames or 0) // COLUMNS)))))
    with atomic_path(picture) as temporary:
        temporary.write_bytes(paint(torch.stack(columns, dim=-1), audio.sample_rate_hz))


def _columns(blocks: Iterable[Tensor]) -> Iterator[Tensor]:
    """The mean power (F) of each block (C, any length).

    A block comes with the window before it, and frames that reach beyond the two are left out: an edge in a window
    would spread over all frequencies. That moves the picture by half a window, 23 ms.
    """
    before = torch.zeros(1, FFT_SAMPLES)
    outside = FFT_SAMPLES // 2 // HOP_SAMPLES
    for block in blocks:
        joined = torch.cat([before.expand(len(block), -1), block], dim=-1)
        yield spectrogram_power(joined)[:, outside:-outside].mean(dim=-1)
        before = joined[:, -FFT_SAMPLES:]
