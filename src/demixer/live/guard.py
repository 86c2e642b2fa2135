"""A clock that does not wait: each block out in time, and where the network's is late, the mixture in its place."""

import torch
from torch import Tensor

from demixer.live.backlog import Backlog
from demixer.live.mixing import Delay, Ramp
from demixer.live.stats import Stats

FADE_SECONDS = 0.003  # from the network's sound to the mixture's and back; it adds as much to the latency


class Guard:
    """Gives a block for each block, at once: the network's of some blocks ago, or the mixture, as late as that is.

    The network has ``slack_blocks`` blocks' time. What it gave is held back for the length of a fade: so there is still
    sound to fade out where the next block is missing, and no jump. The mixture is as loud as the loudest of what is
    heard, divided among the buses: what is muted as a whole stays so, and all buses together never double it.

    Args:
        backlog: computes; its thread, or a test, drives it.
        block_samples: N, length of each block.
        stats: counts late blocks.
        slack_blocks: D.

    Attributes:
        latency_samples: from what comes in to what goes out, in samples of the stream: the network's, D blocks and the
            fade.
    """

    def __init__(self, backlog: Backlog, block_samples: int, stats: Stats, slack_blocks: int = 1) -> None:
        mix = backlog.mix
        self.mix, self.block_samples = mix, block_samples
        self._backlog, self._stats = backlog, stats
        self._slack, self._tick = slack_blocks, 0
        self._fade = min(round(FADE_SECONDS * mix.sample_rate_hz), block_samples // 2)
        self._held: Tensor | None = torch.zeros(mix.channels_out, self._fade)  # the end of the last block, if in time
        self._silence = torch.zeros(mix.channels_out, block_samples)
        self.latency_samples = mix.latency_samples + slack_blocks * block_samples + self._fade
        self._delay = Delay(mix.channels, self.latency_samples)
        self._loudness = Ramp(self._loudest(), round(FADE_SECONDS * mix.sample_rate_hz))
        rising = torch.arange(1, self._fade + 1) / (self._fade + 1)
        self._fade_in = torch.cat([torch.zeros(self._fade), rising, torch.ones(block_samples - 2 * self._fade)])
        self._fade_out = torch.cat([rising.flip(0), torch.zeros(block_samples - self._fade)])

    def wait(self, seconds: float) -> None:
        """Give the network at most so much more time for the block that the next tick asks for."""
        if seconds > 0 and self._tick >= self._slack:
            self._backlog.wait(self._tick - self._slack, seconds)

    def tick(self, block: Tensor) -> Tensor:
        """(C, N) → (B · C, N), ``latency_samples`` late.

        Raises:
            Exception: what the network raised.
        """
        self._backlog.put(self._tick, block)
        wanted = self._tick - self._slack
        self._tick += 1
        separated = self._silence if wanted < 0 else self._backlog.take(wanted)
        mixture = self._mixture(block)
        if separated is None:
            self._stats.late_blocks += 1
        heard = self._join(separated, mixture)
        self._held = None if separated is None else separated[:, separated.shape[-1] - self._fade :]
        return heard

    def _join(self, separated: Tensor | None, mixture: Tensor) -> Tensor:
        """What was held back, then the block without its end; the mixture in the place of what is missing."""
        if separated is None and self._held is None:
            return mixture
        samples = mixture.shape[-1]
        held = mixture[:, : self._fade] if self._held is None else self._held
        after = mixture[:, self._fade :] if separated is None else separated[:, : samples - self._fade]
        ready = torch.cat([held, after], dim=-1)
        if separated is None:
            return torch.lerp(mixture, ready, self._fade_out)
        return ready if self._held is not None else torch.lerp(mixture, ready, self._fade_in)

    def _mixture(self, block: Tensor) -> Tensor:
        """(C, N) → (B · C, N): the mixture, late, in all buses."""
        self._loudness.aim(self._loudest())
        loudness = self._loudness.take(block.shape[-1])
        return (loudness[:, None] * self._delay.process(block)).flatten(0, 1)

    def _loudest(self) -> list[float]:
        """The largest gain in each bus, divided by the number of buses."""
        gains = torch.tensor(self.mix.desk.gains)
        return ((self.mix.buses * gains).amax(dim=1) / len(self.mix.buses)).tolist()
