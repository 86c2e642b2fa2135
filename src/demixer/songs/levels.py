"""The stems' level in formats that clip: what is too loud is made quieter, cut, or refused, for all stems alike."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.songs.options import Options

SPOOL_SAMPLES = 1 << 16  # read back at once
REMEDY = "try `--clip rescale`, `--clip clamp` or `--format wav32f`"
RESCALE_MARGIN = 1 - 1e-4  # the residual of two rounded signals may exceed the unrounded one by a step


class Leveller:
    """Makes of a song's estimates the samples that are written.

    With two stems, the residual is the difference of mixture and estimate *after* they took the level and the
    rounding of the format, so that in an integer format the two files add up to the mixture's own samples exactly.

    Args:
        options: format, ``clip`` and ``two_stems``.
        spool: a file to keep the song in until its loudest sample is known, as ``clip="rescale"`` needs.
    """

    def __init__(self, options: Options, spool: Path) -> None:
        self.options, self.format, self.spool = options, options.audio_format, spool
        self.gain = 1.0
        self.overshoot = 0.0

    def levelled(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """The stems (S, C, any length) from estimates (and with two stems the mixture) of the same shape.

        Raises:
            UserError: a stem clips, and ``clip`` is "error".
        """
        if self.format.clips and self.options.clip == "rescale":
            blocks = self._rescaled(blocks)
        for block in blocks:
            stems = self._stems(block)
            self.overshoot = max(self.overshoot, self.format.overshoot(stems))
            if self.options.clip == "error" and self._clips():
                raise UserError(f"a stem is {self._decibels():.1f} dB too loud for {self.options.format}: {REMEDY}")
            yield stems

    def remark(self) -> str | None:
        """What was done about clipping, or None where there was none."""
        if self.gain < 1:
            return f"its stems are {-20 * math.log10(self.gain):.1f} dB quieter, or {self.options.format} would clip"
        if self._clips():
            return f"clipped: a stem is {self._decibels():.1f} dB too loud for {self.options.format}"
        return None

    def _clips(self) -> bool:
        return self.format.clips and self.overshoot > 1

    def _decibels(self) -> float:
        return 20 * math.log10(self.overshoot)

    def _stems(self, block: Tensor) -> Tensor:
        samples = self.format.quantise(block * self.gain)
        if not self.options.two_stems:
            return samples
        stem, mixture = samples
        return torch.stack([stem, mixture - self.format.clamp(stem)])

    def _rescaled(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """The same blocks, once all of them are known and the gain is set by the loudest sample."""
        shape, overshoot = None, 0.0
        with self.spool.open("wb") as file:
            for block in blocks:
                shape = block.shape[:-1]
                overshoot = max(overshoot, self.format.overshoot(self._stems(block)))
                file.write(block.movedim(-1, 0).contiguous().numpy().data)
        if overshoot > 1:
            self.gain = RESCALE_MARGIN / overshoot
        with self.spool.open("rb") as file:
            while (samples := np.fromfile(file, np.float32, SPOOL_SAMPLES * math.prod(shape or (1,)))).size:
                yield torch.from_numpy(samples).view(-1, *shape).movedim(0, -1)
