"""The stems' level in formats that clip: what is too loud is made quieter, cut, or refused, for all stems alike."""

import math
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.separation.streams import keep_first
from demixer.songs.dithering import dither_of
from demixer.songs.options import Options

SPOOL_SAMPLES = 1 << 16  # read back at once
REMEDY = "try `--clip rescale`, `--clip clamp` or `--format wav32f`"
RESCALE_MARGIN = 1e-4
STEPS_OF_A_STEM = 1.5  # how far a rounded sample is from what it was: half a step, and a whole one of dither

Estimates = Iterable[Tensor]


class Leveller:
    """Makes of a song's estimates the samples that are written.

    With two stems, or a residual, the last stem is the difference of the mixture and the others *after* they took the
    level and the rounding of the format, so that in an integer format the files add up to the mixture's own samples
    exactly.

    Args:
        options: format, ``clip``, ``dither``, and whether there is a residual.
        spool: a file for the rest of a song in which something clips, as ``clip="rescale"`` needs.
    """

    def __init__(self, options: Options, spool: Path) -> None:
        self.options, self.format, self.spool = options, options.audio_format, spool
        self.gain = 1.0
        self.overshoot = 0.0

    def takes(self, blocks: Estimates, again: Callable[[], Estimates]) -> Iterator[Iterator[Tensor]]:
        """The song's stems as they are; and once more, quieter and from the start on, if they clip.

        The gain is that of the loudest sample of all, so that it is known at the end only. Few songs clip, and most
        that do begin to early. So the stems are given as they are, until one clips; from there on the estimates are
        spooled, and what was before is separated again. That is exact, where reading the written files back would
        round twice; it costs no room on the disk where nothing clips, and else at most one copy of the estimates.

        Args:
            blocks: the estimates (S, C, any length) each, and where there is a residual, the mixture behind them.
            again: gives the same blocks once more.

        Yields:
            The blocks (S, C, any length) of one take; each replaces what was written of the one before.

        Raises:
            UserError: a stem clips, and ``clip`` is "error".
        """
        self._begin()
        blocks, given = iter(blocks), 0

        def first() -> Iterator[Tensor]:
            nonlocal given
            for block in blocks:
                stems = self._stems(block)
                self.overshoot = max(self.overshoot, self.format.overshoot(stems))
                if self._clips() and self.options.clip == "rescale":
                    self._spool(chain([block], blocks))
                    return
                if self._clips() and self.options.clip == "error":
                    raise UserError(f"a stem is {self._decibels():.1f} dB too loud for {self.options.format}: {REMEDY}")
                given += block.shape[-1]
                yield stems

        yield first()
        if self.gain < 1:
            self._begin()
            yield map(self._stems, chain(keep_first(again(), given), self._spooled()))

    def remark(self) -> str | None:
        """What was done about clipping, or None where there was none."""
        if self.gain < 1:
            return f"its stems are {-20 * math.log10(self.gain):.1f} dB quieter, or {self.options.format} would clip"
        if self._clips():
            return f"clipped: a stem is {self._decibels():.1f} dB too loud for {self.options.format}"
        return None

    def _begin(self) -> None:
        self.dither = dither_of(self.format) if self.options.dither else None

    def _clips(self) -> bool:
        return self.format.clips and self.overshoot > 1

    def _decibels(self) -> float:
        return 20 * math.log10(self.overshoot)

    def _stems(self, block: Tensor) -> Tensor:
        rounded = self.dither.quantise if self.dither else self.format.quantise
        if not self.options.residual_name:
            return rounded(block * self.gain)
        stems, mixture = rounded(block[:-1] * self.gain), self.format.quantise(block[-1:] * self.gain)
        # What clamping cuts from a stem is the residual's; what is to be rescaled is measured as if nothing was cut.
        others = self.format.clamp(stems) if self.options.clip == "clamp" else stems
        rest = mixture - others.sum(0, keepdim=True, dtype=torch.float64)  # float32 would round their sum
        return torch.cat([stems, rest.float()])

    def _spool(self, blocks: Estimates) -> None:
        """Put the rest of the song aside, and set the gain by the loudest sample of all."""
        with self.spool.open("wb") as file:
            for block in blocks:
                self._shape = block.shape[:-1]
                self.overshoot = max(self.overshoot, self.format.overshoot(self._stems(block)))
                file.write(block.movedim(-1, 0).contiguous().numpy().data)
        self.gain = (1 - self._margin(others=len(block) - 1)) / self.overshoot

    def _margin(self, others: int) -> float:
        """A residual holds what all others were rounded by, and may exceed the unrounded one by that."""
        if not self.options.residual_name or not self.format.bits:
            return RESCALE_MARGIN
        return max(RESCALE_MARGIN, (STEPS_OF_A_STEM * others + 1) * 2.0 ** (1 - self.format.bits))

    def _spooled(self) -> Iterator[Tensor]:
        with self.spool.open("rb") as file:
            while (samples := np.fromfile(file, np.float32, SPOOL_SAMPLES * math.prod(self._shape))).size:
                yield torch.from_numpy(samples).view(-1, *self._shape).movedim(0, -1)
