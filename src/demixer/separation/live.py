"""Stems as the music plays: blocks of any length in, blocks of the same length out."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from demixer.model.live.folding import folded
from demixer.model.live.network import LiveNetwork
from demixer.separation.checks import check_waveform
from demixer.separation.devices import computing

FRAMES_AT_ONCE = 256  # of a long block: as fast as more of them, in bounded memory


def latency_text(samples: int, sample_rate_hz: int) -> str:
    """How a latency is told.

    >>> latency_text(1023, 44100)
    '1023 samples, 23.2 ms'
    """
    return f"{samples} samples, {1000 * samples / sample_rate_hz:.1f} ms"


class LiveSeparator:
    """Separates a signal while it comes.

    What comes out is the stems, :attr:`latency_samples` behind what went in; before them stands what the first frames
    spread into the time before the signal. Memory is the state's, whatever has passed.

    Args:
        network: a causal one; its weights are taken as they are now.
        targets: names of the S stems.
        sample_rate_hz: sample rate of the signal.
        device: where the network computes; None: on the CPU.
        precision: of the network's products; None: what is set around the call.
        channels: C.
        block_samples: all blocks are multiples of so many samples.

    Attributes:
        state: all that is known of the signal so far, tensors by name: the network's state (sizes never change),
            ``input`` (C, less than a hop), which no frame holds yet, and ``output`` (S, C, less than a hop), whose turn
            has not come. Put back, the stream goes on from there.
        latency_samples: how far the stems are behind the mixture.

    Raises:
        ValueError: ``channels`` or ``block_samples`` is impossible.

    >>> from demixer import Separator
    >>> live = Separator.from_pretrained("a live model").live()  # doctest: +SKIP
    >>> live.process(torch.randn(2, 300)).shape  # doctest: +SKIP
    torch.Size([4, 2, 300])
    """

    def __init__(
        self,
        network: LiveNetwork,
        targets: tuple[str, ...],
        sample_rate_hz: int,
        device: torch.device | None = None,
        precision: torch.dtype | None = None,
        channels: int = 2,
        block_samples: int = 1,
    ) -> None:
        if not 1 <= channels <= 2:
            raise ValueError(f"`channels` (={channels}) must be 1 or 2")
        if block_samples < 1:
            raise ValueError(f"`block_samples` (={block_samples}) must be at least 1")
        self.network, self.targets, self.sample_rate_hz = folded(network), targets, sample_rate_hz
        self.device, self.precision = device or next(network.parameters()).device, precision
        self.channels, self.block_samples = channels, block_samples
        self.hop_samples = network.hop_samples
        self.latency_samples = network.latency_in_blocks(block_samples)
        self.reset()

    def reset(self) -> None:
        """Forget the signal: the next block is another one's first."""
        # what comes of a whole hop is a hop in blocks behind; each sample waits for its turn within the latency
        waiting = self.latency_samples - self.network.latency_in_blocks(self.hop_samples)
        self.state = self.network.initial_state(1, self.channels, self.device) | {
            "input": torch.zeros(self.channels, 0),
            "output": torch.zeros(len(self.targets), self.channels, waiting),
        }

    def process(self, block: Tensor | np.ndarray) -> Tensor:
        """Go on with the signal.

        Args:
            block: (C, n) floating-point samples in ±1, n a multiple of ``block_samples``, also none.

        Returns:
            (S, C, n) on the CPU.

        Raises:
            ValueError: the block is no such thing; the message says why, and the stream stands where it stood.
        """
        samples = check_waveform(block)
        if len(samples) != self.channels:
            raise ValueError(f"`block` has {len(samples)} channels: this stream has {self.channels}")
        if samples.shape[1] % self.block_samples:
            raise ValueError(
                f"`block` has {samples.shape[1]} samples: they must be a multiple of `block_samples` "
                f"(={self.block_samples})"
            )
        return self._joined(samples)

    def flush(self) -> Tensor:
        """End the signal.

        Returns:
            The rest of the stems (S, C, latency_samples); the next block is another signal's first.
        """
        rest = self._joined(torch.zeros(self.channels, self.latency_samples))
        self.reset()
        return rest

    def advance(self, samples: Tensor) -> Iterator[Tensor]:
        """What :meth:`process` does, unchecked, and a long block's stems piece by piece: (S, C, any length)."""
        known = torch.cat([self.state["input"], samples.cpu()], dim=-1)
        whole = known.shape[-1] // self.hop_samples * self.hop_samples
        self.state["input"], wanted = known[:, whole:].clone(), samples.shape[-1]
        for hops in known[:, :whole].split(FRAMES_AT_ONCE * self.hop_samples, dim=-1):
            ready = torch.cat([self.state["output"], self._step(hops)], dim=-1) if whole else self.state["output"]
            given = min(wanted, ready.shape[-1])
            self.state["output"], wanted = ready[..., given:].clone(), wanted - given
            yield ready[..., :given]

    def _joined(self, samples: Tensor) -> Tensor:
        return torch.cat(list(self.advance(samples)), dim=-1)

    def _step(self, hops: Tensor) -> Tensor:
        """(C, T · hop) → the stems (S, C, T · hop)."""
        with computing(self.precision, self.device):
            own = {name: value for name, value in self.state.items() if name not in ("input", "output")}
            stems, after = self.network.step(hops.unsqueeze(0).to(self.device), own)
            self.state |= after
            return stems[0].float().cpu()
