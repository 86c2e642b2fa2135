"""A whole file, or a piece of one, at once: what training and evaluation read. Only what soundfile can seek in."""

import os
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.temporary import atomic_path


def read_audio(path: Path, start: int = 0, frames: int = -1) -> tuple[Tensor, int]:
    """Read ``frames`` samples of a file from sample ``start`` on (-1: to the end), seeking, not reading past them.

    Returns:
        The waveform (C, L) in float32 and its sample rate in Hz.

    Raises:
        UserError: the file is missing or cannot be decoded.
    """
    try:
        samples, sample_rate_hz = soundfile.read(os.fsencode(path), frames, start, dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise UserError(f"cannot read `{path}`: {error}") from error
    return torch.from_numpy(samples.T.copy()), sample_rate_hz


def write_audio(path: Path, waveform: Tensor, sample_rate_hz: int, subtype: str = "FLOAT") -> None:
    """Write a waveform (C, L) to ``path`` at once and atomically; ``subtype`` as soundfile names it."""
    with atomic_path(path) as temporary:
        soundfile.write(str(temporary), waveform.detach().cpu().numpy().T, sample_rate_hz, subtype=subtype)
