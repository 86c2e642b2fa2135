"""Waveform to waveforms: the Fourier transform, the network between, and the inverse."""

import copy
from collections.abc import Collection, Sequence
from typing import Self

from torch import Tensor, nn

from demixer.model.band_split_network import BandSplitNetwork
from demixer.model.modules.spectrogram import Spectrogram


class SeparationNetwork(nn.Module):
    """The mixture's waveform → the targets' waveforms, over a whole signal at once.

    Args:
        targets: names of the S estimated sources, in the order of the output.
        sample_rate_hz: sample rate that the network was trained at.
        spectrogram: the transform and its inverse.
        bandsplitrnn: the network between them.

    Attributes:
        transform: the class of its spectrogram.
        latency_samples: how far a stream's estimates are behind the mixture; None: it hears a whole window first.
        window_samples: the only length that the network takes, up to which it fills shorter signals; None: any length.

    Shapes:
        (B, C, L) → (B, S, C, L).
    """

    transform = Spectrogram
    latency_samples: int | None = None
    window_samples: int | None = None

    def __init__(
        self, targets: Sequence[str], sample_rate_hz: int, spectrogram: Spectrogram, bandsplitrnn: BandSplitNetwork
    ) -> None:
        super().__init__()
        self.targets = tuple(targets)
        self.sample_rate_hz = sample_rate_hz
        self.spectrogram = spectrogram
        self.bandsplitrnn = bandsplitrnn

    def only(self, targets: Collection[str]) -> Self:
        """The same network with the same weights, but it estimates no mask of other targets."""
        shared = {id(weights): weights for weights in (*self.parameters(), *self.buffers())}
        network, mask = copy.deepcopy(self, shared), self.bandsplitrnn.mask
        kept = [place for place, target in enumerate(self.targets) if target in targets]
        network.targets = tuple(self.targets[place] for place in kept)
        network.bandsplitrnn.mask.estimators = nn.ModuleList(mask.estimators[place] for place in kept)
        return network

    def forward(self, mixture: Tensor) -> Tensor:
        return self.spectrogram.inverse(self.estimate_spectra(mixture), mixture.shape[-1])

    def estimate_spectra(self, mixture: Tensor) -> Tensor:
        """(B, C, L) → the targets' spectrograms (B, S, C, F, T), which the training loss also compares."""
        return self.bandsplitrnn(self.spectrogram(mixture))
