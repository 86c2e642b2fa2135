"""A mixture → what is to be heard of it, block by block."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from demixer.live.desk import Desk
from demixer.live.mixing import Delay, Mixer

if TYPE_CHECKING:
    from demixer.separation.live import LiveSeparator


class LiveMix:
    """Separates a stream and mixes its stems, always as late and never at another length.

    Args:
        live: separates, ``latency_samples`` late.
        desk: the gains, which another thread may change.
        buses: (B, S + 1), see :class:`demixer.live.mixing.Mixer`.
        channels: C of the mixture.
    """

    def __init__(self, live: "LiveSeparator", desk: Desk, buses: Tensor, channels: int) -> None:
        self.live, self.desk, self.buses, self.channels = live, desk, buses, channels
        self.latency_samples, self.hop_samples = live.latency_samples, live.hop_samples
        self.sample_rate_hz = live.sample_rate_hz
        self.channels_out = channels * len(buses)
        self._delay = Delay(channels, self.latency_samples)
        self._mixer = Mixer(buses, desk.gains, self.sample_rate_hz)

    def process(self, block: Tensor) -> Tensor:
        """(C, n) → (B · C, n), ``latency_samples`` late.

        Raises:
            ValueError: the block has other channels, or is not finite.
        """
        return self._mixer.mix(self.live.process(block), self._delay.process(block), self.desk.gains)

    def flush(self) -> Tensor:
        """What is still to come after the last block: (B · C, latency_samples)."""
        silence = torch.zeros(self.channels, self.latency_samples)
        return self._mixer.mix(self.live.flush(), self._delay.process(silence), self.desk.gains)

    def reset(self) -> None:
        """Forget what came in; the gains stay."""
        self.live.reset()
        self._delay.reset()
