"""The spectrogram of a stem's file, drawn as the file streams by."""

from pathlib import Path

import matplotlib
import torch
from matplotlib.image import imsave

from utils.audio import open_audio
from utils.figures.sound import mel_rows, spectrogram_power
from utils.paths import atomic_path

COLUMNS, ROWS = 1200, 128
FLOOR_DB = -80.0


def draw_spectrogram(sound: Path, picture: Path) -> None:
    """Write a PNG of level over time and (mel) frequency without axes: 0 dB is the loudest, black is -80 dB."""
    with open_audio(sound) as audio:
        block = max(1, -(-(audio.frames or 1) // COLUMNS))
        columns = [spectrogram_power(part).mean(dim=-1) for part in audio.blocks(block)]
    power = torch.stack(columns, dim=-1)
    level_db = 10 * torch.log10((power / power.max().clamp(min=1e-20)).clamp(min=10 ** (FLOOR_DB / 10)))
    rows = mel_rows(level_db.numpy(), audio.sample_rate_hz, ROWS)
    with atomic_path(picture) as temporary:
        imsave(temporary, rows, cmap=matplotlib.colormaps["magma"], vmin=FLOOR_DB, vmax=0, origin="lower")
