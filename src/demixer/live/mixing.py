"""Stems → what is heard. Gains move in straight lines, so that no change of them clicks."""

from collections.abc import Sequence

import torch
from torch import Tensor

RAMP_SECONDS = 0.02  # of a change of gain: too slow for a click, too fast to wait for


class Delay:
    """The same signal, some samples later, and silence before it.

    >>> delay = Delay(1, 2)
    >>> delay.process(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[0., 0., 1.]])
    >>> delay.process(torch.tensor([[4.0]]))
    tensor([[2.]])
    """

    def __init__(self, channels: int, samples: int) -> None:
        self.samples = samples
        self._held = torch.zeros(channels, samples)

    def process(self, block: Tensor) -> Tensor:
        """(C, n) → (C, n)."""
        joined = torch.cat([self._held, block], dim=-1)
        self._held = joined[:, block.shape[-1] :]
        return joined[:, : block.shape[-1]]

    def reset(self) -> None:
        """Forget what came in."""
        self._held = torch.zeros_like(self._held)


class Ramp:
    """K values, each on its way to where it is wanted: in a straight line of ``samples`` from where it then is.

    >>> ramp = Ramp([1.0], 4)
    >>> ramp.aim([0.0])
    >>> ramp.take(3), ramp.take(3)
    (tensor([[0.7500, 0.5000, 0.2500]]), tensor([[0., 0., 0.]]))
    >>> ramp.take(3)  # where nothing moves, one for all samples
    tensor([[0.]])
    """

    def __init__(self, values: Sequence[float], samples: int) -> None:
        self._samples, self._left = samples, 0
        self._values = self._wanted = torch.tensor(values)

    def aim(self, values: Sequence[float]) -> None:
        """Begin to move to other values."""
        wanted = torch.tensor(values)
        if not torch.equal(wanted, self._wanted):
            self._wanted, self._left = wanted, self._samples

    def take(self, samples: int) -> Tensor:
        """The values at the next samples, (K, samples), or (K, 1) where they stand still."""
        if not (self._left and samples):
            return self._values[:, None]
        share = (torch.arange(1, samples + 1) / self._left).clamp(max=1.0)
        path = torch.lerp(self._values[:, None], self._wanted[:, None], share)
        self._left -= min(samples, self._left)
        self._values = path[:, -1] if self._left else self._wanted
        return path


class Mixer:
    """Stems and their mixture → buses, each with some of the stems at their gains.

    The rest is the mixture without the stems. So a bus of everything, all as loud as it is, is the mixture to the last
    bit, and a muted stem leaves behind what no stem has: reverberation, and whatever the network lost.

    Args:
        buses: (B, K) of True where a bus holds a source: the stems, and last the rest.
        gains: of the K sources, at the beginning.
        sample_rate_hz: of the signals.
    """

    def __init__(self, buses: Tensor, gains: Sequence[float], sample_rate_hz: int) -> None:
        self._buses = buses.float()
        self._ramp = Ramp(gains, round(RAMP_SECONDS * sample_rate_hz))

    def mix(self, estimates: Tensor, mixture: Tensor, gains: Sequence[float]) -> Tensor:
        """Mix a block.

        Args:
            estimates: (S, C, n).
            mixture: (C, n), as late as they are.
            gains: where those of the K = S + 1 sources are to go.

        Returns:
            (B · C, n), bus by bus.
        """
        self._ramp.aim(gains)
        gain = self._buses[:, :, None] * self._ramp.take(mixture.shape[-1])  # (B, K, n)
        stems, rest = gain[:, :-1], gain[:, -1:]
        # rest · (mixture - Σ stem) + Σ gain · stem
        factors = torch.cat([stems - rest, rest], dim=1)
        sources = torch.cat([estimates, mixture[None]])
        return (factors[:, :, None] * sources).sum(dim=1).flatten(0, 1)
