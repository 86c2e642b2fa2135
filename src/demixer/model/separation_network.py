"""Waveform to waveforms: the Fourier transform, the band-split RNN and the inverse."""

import copy
from collections.abc import Collection, Sequence
from typing import Self

import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.modules.spectrogram import Spectrogram


class SeparationNetwork(nn.Module):
    """The mixture's waveform → the targets' waveforms, over a whole signal at once.

    Args:
        targets: names of the S estimated sources, in the order of the output.
        sample_rate_hz: sample rate that the network was trained at.
        spectrogram: the transform and its inverse.
        bandsplitrnn: the network between them.

    Attributes:
        window_samples: the only length that the network accepts, or None where any will do.

    Shapes:
        (B, C, L) → (B, S, C, L).
    """

    def __init__(
        self, targets: Sequence[str], sample_rate_hz: int, spectrogram: Spectrogram, bandsplitrnn: nn.Module
    ) -> None:
        super().__init__()
        self.targets = tuple(targets)
        self.sample_rate_hz = sample_rate_hz
        self.spectrogram = spectrogram
        self.bandsplitrnn = bandsplitrnn
        frames = getattr(bandsplitrnn, "fixed_frames", None)
        self.window_samples: int | None = None if frames is None else (frames - 1) * spectrogram.hop_samples

    def only(self, targets: Collection[str]) -> Self:
        """The same network with the same weights, but it estimates no mask of other targets."""
        shared = {id(weights): weights for weights in (*self.parameters(), *self.buffers())}
        network, mask = copy.deepcopy(self, shared), self.bandsplitrnn.mask
        kept = [place for place, target in enumerate(self.targets) if target in targets]
        network.targets = tuple(self.targets[place] for place in kept)
        network.bandsplitrnn.mask.estimators = nn.ModuleList(mask.estimators[place] for place in kept)
        return network

    def forward(self, mixture: Tensor) -> Tensor:
        length = mixture.shape[-1]
        spectra = self.estimate_spectra(self.padded(mixture))
        return self.spectrogram.inverse(spectra, self.window_samples or length)[..., :length]

    def padded(self, mixture: Tensor) -> Tensor:
        """Silence behind a mixture that is shorter than the only window that the network accepts.

        Raises:
            ValueError: it is longer.
        """
        if self.window_samples is None:
            return mixture
        missing = self.window_samples - mixture.shape[-1]
        if missing < 0:
            raise ValueError(f"`mixture` has {mixture.shape[-1]} samples: this network takes {self.window_samples}")
        return F.pad(mixture, (0, missing))

    def estimate_spectra(self, mixture: Tensor) -> Tensor:
        """(B, C, L) → the targets' spectrograms (B, S, C, F, T), which the training loss also compares."""
        return self.separate_spectrum(self.spectrogram(mixture))

    def separate_spectrum(self, spectrum: Tensor) -> Tensor:
        """(B, C, F, T) → (B, S, C, F, T); a network of joint channels hears one channel as that many equal ones."""
        joint = getattr(self.bandsplitrnn, "joint_channels", 1)
        if spectrum.shape[1] == 1 < joint:
            return self.bandsplitrnn(spectrum.expand(-1, joint, -1, -1)).mean(2, keepdim=True)
        return self.bandsplitrnn(spectrum)
