"""Waveform to waveforms, as the music plays."""

from collections.abc import Sequence
from math import gcd

import torch
from torch import Tensor

from demixer.model.live.bandsplitrnn import LiveBandSplitRNN
from demixer.model.live.spectrogram import LiveSpectrogram
from demixer.model.live.state import State, joined, part_of
from demixer.model.separation_network import SeparationNetwork


class LiveNetwork(SeparationNetwork):
    """A separation network that also goes on from a state, hop by hop.

    Raises:
        ValueError: the transform is not one for live networks.

    Shapes:
        (B, C, L) → (B, S, C, L), the whole signal at once, from a state of nothing.
    """

    transform = LiveSpectrogram

    def __init__(
        self,
        targets: Sequence[str],
        sample_rate_hz: int,
        spectrogram: LiveSpectrogram,
        bandsplitrnn: LiveBandSplitRNN,
    ) -> None:
        super().__init__(targets, sample_rate_hz, spectrogram, bandsplitrnn)

    @property
    def hop_samples(self) -> int:
        return self.spectrogram.hop_samples

    @property
    def latency_samples(self) -> int:
        """How many samples an estimate is behind the mixture, whatever blocks it comes in."""
        return self.latency_in_blocks(1)

    def latency_in_blocks(self, block_samples: int) -> int:
        """The same where all blocks are multiples of so many samples.

        An estimated sample waits for the last frame that holds it, which ends at most ``synthesis_samples`` after it
        begins, and for those looked ahead to. Frames end at multiples of the hop. Where blocks do, too, a sample comes
        out with the block that ends such a frame, and need not wait until it is its turn within a later block.
        """
        wait = self.spectrogram.synthesis_samples + self.bandsplitrnn.look_ahead * self.hop_samples
        return wait - gcd(block_samples, self.hop_samples)

    def estimate_spectra(self, mixture: Tensor) -> Tensor:
        """(B, C, L) → the targets' spectrograms (B, S, C, F, T), which the training loss also compares."""
        return self.bandsplitrnn(self.spectrogram(mixture, self.bandsplitrnn.look_ahead))

    def initial_state(self, batch: int, channels: int, device: torch.device | None = None) -> State:
        """The state before a signal (B, C, …): tensors by name, whose sizes never change."""
        transform, targets = self.spectrogram, len(self.targets)
        past = torch.zeros(batch, channels, transform.n_fft - transform.hop_samples, device=device)
        overlap = torch.zeros(batch, targets, channels, *transform.overlap_shape, device=device)
        own = self.bandsplitrnn.initial_state(batch * channels, device)
        return joined({"analysis": {"past": past}, "network": own, "synthesis": {"overlap": overlap}})

    def step(self, samples: Tensor, state: State) -> tuple[Tensor, State]:
        """Go on with a signal by T whole hops.

        Args:
            samples: (B, C, T · hop), T ≥ 1.
            state: of :meth:`initial_state`, or what the last step returned.

        Returns:
            The estimates (B, S, C, T · hop), :meth:`latency_in_blocks` of a hop behind the samples; the state after.
        """
        spectrum, past = self.spectrogram.analyse(samples, state["analysis.past"])
        estimates, after = self.bandsplitrnn.step(spectrum, part_of(state, "network"))
        stems, overlap = self.spectrogram.synthesise(estimates, state["synthesis.overlap"])
        return stems, joined({"analysis": {"past": past}, "network": after, "synthesis": {"overlap": overlap}})
