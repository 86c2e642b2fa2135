"""From pipe to pipe: all that comes in without a gap, or block by block in real time."""

from collections.abc import Callable, Iterable

import torch.nn.functional as F
from torch import Tensor

from demixer.live.guard import Guard
from demixer.live.live_mix import LiveMix
from demixer.live.stats import Stats

Write = Callable[[Tensor], object]
Told = Callable[[], object]
PACE = 0.99  # of a block's time: so a source whose clock is fast never counts as one that is ahead


def play_all(
    mix: LiveMix, block_samples: int, blocks: Iterable[Tensor], write: Write, stats: Stats, told: Told = lambda: None
) -> None:
    """Every block takes its own time: who reads waits for the network, and who writes, too.

    What comes out begins where the input begins, and is as long: the network's latency is left out at the beginning
    and made up for at the end.

    Args:
        mix: separates and mixes.
        block_samples: N, length of its blocks.
        blocks: (C, N) each, of which only the last may be shorter.
        write: is handed (B · C, any length) each.
        stats: is kept.
        told: is called after each block.
    """
    early = mix.latency_samples

    def send(mixed: Tensor, samples_in: int, arrived: float) -> None:
        nonlocal early
        first = min(early, mixed.shape[-1])
        early -= first
        heard = mixed[:, first : first + stats.samples_in + samples_in - stats.samples_out]
        write(heard)
        stats.passed(samples_in, heard.shape[-1], stats.clock() - arrived)
        told()

    for block in blocks:
        arrived, samples = stats.clock(), block.shape[-1]
        send(stats.timed(mix.process, F.pad(block, (0, block_samples - samples))), samples, arrived)
    send(mix.flush(), 0, stats.clock())


def play_in_time(guard: Guard, blocks: Iterable[Tensor], write: Write, stats: Stats, told: Told = lambda: None) -> None:
    """As many samples out as in, at every moment, ``guard.latency_samples`` late; the blocks' arrival is the clock.

    Programs write several blocks at once, as ffmpeg does. A block is needed no sooner than a block's time after the one
    before, so the network has that time for each of them.

    Args:
        guard: takes blocks of ``guard.block_samples``; its backlog is worked on elsewhere.
        blocks: (C, n) each, of which only the last may be shorter.
        write: is handed (B · C, n) each.
        stats: is kept.
        told: is called after each block.
    """
    due, block_seconds = float("-inf"), guard.block_samples / stats.sample_rate_hz
    for block in blocks:
        arrived, samples = stats.clock(), block.shape[-1]
        due = max(arrived, due + PACE * block_seconds)
        guard.wait(due - arrived)
        heard = guard.tick(F.pad(block, (0, guard.block_samples - samples)))[:, :samples]
        write(heard)
        stats.passed(samples, samples, stats.clock() - arrived)
        told()
