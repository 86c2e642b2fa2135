"""Noise that turns the error of 16 bits into a quiet hiss, where rounding alone would distort what is quiet."""

import numpy as np
import torch
from torch import Tensor

from demixer.audio import AudioFormat

SEED = 0  # the same for every song: equal runs write equal files
COARSEST_BITS = 16  # with more, the error is below what any converter reproduces


class Dither:
    """Rounds a stream to a format's steps, with noise of triangular density (TPDF) before it.

    The noise is the difference of two uniform ones of a step each. With it, the error's mean and power (a quarter of a
    squared step) are the same whatever is rounded (Lipshitz, Wannamaker & Vanderkooy 1992, "Quantization and dither").
    The noise of a sample depends on its place alone, and not on the blocks. It lifts no sample beyond the format's
    limits that is within them without it, and samples of exactly 0 stay so: silence stays digital silence.

    Args:
        audio_format: an integer format.
    """

    def __init__(self, audio_format: AudioFormat) -> None:
        self.format, self._random = audio_format, np.random.default_rng(SEED)

    def quantise(self, samples: Tensor) -> Tensor:
        """Round the next block (S, C, any length)."""
        stems, channels, length = samples.shape
        uniform = self._random.random((length, stems, channels, 2), dtype=np.float32)
        noise = torch.from_numpy(uniform[..., 0] - uniform[..., 1]).movedim(0, -1) * 2.0 ** (1 - self.format.bits)
        plain, noisy = self.format.quantise(samples), self.format.quantise(samples + noise)
        within = plain == self.format.clamp(plain)
        return torch.where(samples == 0, samples, torch.where(within, self.format.clamp(noisy), noisy))


def dither_of(audio_format: AudioFormat) -> Dither | None:
    """The dither that a format needs."""
    return Dither(audio_format) if audio_format.bits and audio_format.bits <= COARSEST_BITS else None
