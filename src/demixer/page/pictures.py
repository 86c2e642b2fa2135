"""The spectrogram of a stem's file, drawn as the file streams by."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import matplotlib
import torch
from matplotlib.image import imsave
from torch import Tensor

from demixer.audio import open_audio
from demixer.figures.sound import FFT_SAMPLES, HOP_SAMPLES, mel_rows, spectrogram_power
from demixer.temporary import atomic_path

COLUMNS, ROWS = 1200, 128  # at most, and exactly
FLOOR_DB = -80.0


def draw_spectrogram(sound: Path, picture: Path) -> None:
    """Write a PNG of level over time and (mel) frequency without axes: 0 dB is the loudest, black is -80 dB."""
    with open_audio(sound) as audio:
        columns = list(_columns(audio.blocks(max(HOP_SAMPLES, -(-(audio.frames or 0) // COLUMNS)))))
    power = torch.stack(columns, dim=-1)
    level_db = 10 * torch.log10((power / power.max().clamp(min=1e-20)).clamp(min=10 ** (FLOOR_DB / 10)))
    rows = mel_rows(level_db.numpy(), audio.sample_rate_hz, ROWS)
    with atomic_path(picture) as temporary:
        imsave(temporary, rows, cmap=matplotlib.colormaps["magma"], vmin=FLOOR_DB, vmax=0, origin="lower")


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
