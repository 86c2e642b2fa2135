"""What was measured while it played: latency, time of a hop, what came late."""

import math
import time
from collections.abc import Callable

import numpy as np
from torch import Tensor

_LEAST_SECONDS, _STEP = 1e-6, 1.01  # of the classes in which times are counted
_CLASSES = 2000  # up to 440 s


class Durations:
    """Quantiles of any number of times, within 1 %, in memory that does not grow; the largest is exact.

    >>> times = Durations()
    >>> for milliseconds in range(1, 101):
    ...     times.add(milliseconds / 1000)
    >>> round(1000 * times.quantile(0.5)), round(1000 * times.quantile(0.99)), 1000 * times.worst
    (50, 99, 100.0)
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_CLASSES, dtype=np.int64)
        self.worst = 0.0

    def add(self, seconds: float) -> None:
        """Count a time."""
        place = math.log(max(seconds, _LEAST_SECONDS) / _LEAST_SECONDS, _STEP)
        self._counts[min(int(place), _CLASSES - 1)] += 1
        self.worst = max(self.worst, seconds)

    def quantile(self, share: float) -> float:
        """The time that this share of all times does not exceed; 0 where there are none."""
        sums = self._counts.cumsum()
        if not sums[-1]:
            return 0.0
        place = int(np.searchsorted(sums, math.ceil(share * sums[-1])))
        return min(_LEAST_SECONDS * _STEP ** (place + 0.5), self.worst)


class Stats:
    """The figures of a run.

    Args:
        sample_rate_hz: of the stream.
        hop_samples: the network's.
        algorithmic_samples: latency of the network, whatever the blocks.
        block_samples: what the blocks add to it, and the time that the network has in real time.
        waits: whether a late block holds the output up, rather than being replaced.
        clock: seconds.

    Attributes:
        hops: what a hop takes to compute.
        passages: from a block's arrival to its leaving, as measured beside the latencies in samples.
        late_blocks: replaced by the mixture.
        skipped_blocks: never computed, since too many waited.
        xruns: blocks of the sound card whose input was left out or is no sound, or that had no output.
        samples_in, samples_out: of each channel.
        clipped_samples: beyond what the output's format holds.
    """

    def __init__(
        self,
        sample_rate_hz: int,
        hop_samples: int,
        algorithmic_samples: int,
        block_samples: int,
        waits: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.sample_rate_hz, self.hop_samples = sample_rate_hz, hop_samples
        self.algorithmic_samples, self.block_samples = algorithmic_samples, block_samples
        self.waits, self.clock = waits, clock
        self.hops, self.passages = Durations(), Durations()
        self.late_blocks = self.skipped_blocks = self.xruns = self.blocks = 0
        self.samples_in = self.samples_out = self.clipped_samples = 0

    def timed(self, process: Callable[[Tensor], Tensor], block: Tensor) -> Tensor:
        """``process(block)``; its time is counted for each of the hops that the block completes."""
        began = self.clock()
        mixed = process(block)
        self.hops.add((self.clock() - began) / max(1, round(block.shape[-1] / self.hop_samples)))
        return mixed

    def passed(self, samples_in: int, samples_out: int, seconds: float) -> None:
        """A block has come and gone."""
        self.blocks += 1
        self.samples_in += samples_in
        self.samples_out += samples_out
        self.passages.add(seconds)

    @property
    def latency_seconds(self) -> float:
        """Measured: the samples that a sound waits, and the time that a block takes."""
        samples = self.algorithmic_samples + self.block_samples
        return samples / self.sample_rate_hz + self.passages.quantile(0.5)

    def line(self) -> str:
        """All in one line, for a terminal."""
        seconds = self.samples_in / self.sample_rate_hz
        late = "" if self.waits else f" · {self.late_blocks} late · {self.xruns} xruns"
        return (
            f"{int(seconds // 60)}:{seconds % 60:04.1f} · latency {1000 * self.latency_seconds:.1f} ms · "
            f"a hop {self._of_hops()}{late} · in {self.samples_in}, out {self.samples_out}"
        )

    def summary(self) -> str:
        """All in some lines, for the end."""
        rate_hz = self.sample_rate_hz
        algorithmic_ms, block_ms = 1000 * self.algorithmic_samples / rate_hz, 1000 * self.block_samples / rate_hz
        lines = [
            f"latency   {algorithmic_ms:.1f} ms algorithmic + {block_ms:.1f} ms of blocks, "
            f"measured {1000 * self.latency_seconds:.1f} ms",
            f"a hop     {self._of_hops()}",
            f"samples   {self.samples_in} in, {self.samples_out} out ({self.samples_in / rate_hz:.1f} s), "
            f"{self.clipped_samples} clipped",
        ]
        if not self.waits:
            lines.insert(2, f"late      {self.late_blocks} of {self.blocks} blocks, {self.xruns} xruns")
        if self.skipped_blocks:
            lines.insert(3, f"skipped   {self.skipped_blocks} blocks, since too many waited")
        return "\n".join(lines)

    def _of_hops(self) -> str:
        hop_ms = 1000 * self.hop_samples / self.sample_rate_hz
        median, most = (1000 * self.hops.quantile(share) for share in (0.5, 0.99))
        return f"{median:.2f} ms median, {most:.2f} 99 %, {1000 * self.hops.worst:.2f} worst, of {hop_ms:.2f}"
