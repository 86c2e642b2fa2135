"""The transform of a live network: long windows hear, short ones speak, and nothing waits for the future."""

import math
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.modules.spectrogram import LARGEST_N_FFT


class LiveSpectrogram(nn.Module):
    """Short-time Fourier transform with asymmetric windows, and its inverse (Mauler & Martin 2007, EUSIPCO).

    Frame t holds the ``n_fft`` samples before sample (t + 1) · hop: all of them are known, and before the signal there
    is silence. The analysis window rises slowly over the past and falls at its end as fast as a Hann window of
    ``synthesis_samples`` does; the synthesis window has only that length. Their product over these last samples is such
    a Hann window, and shifted by the hop those add up to one. So bins are as narrow as those of ``n_fft`` samples, and
    a sample only waits for the frames whose last ``synthesis_samples`` hold it. These Hann windows stand between the
    samples (sin² of half steps), so that none of their samples is zero.

    Args:
        n_fft: length of the analysis window and of the transform in samples; gives F = n_fft / 2 + 1 bins.
        hop_samples: distance of two frames.
        synthesis_samples: length of the synthesis window: two hops or more, a multiple of the hop.

    Attributes:
        latency_samples: how many samples the inverse is behind what was transformed: one less than its window.

    Shapes:
        forward: (…, L) real → (…, F, T) complex, frame-major in memory: a frame's bins lie side by side.
        inverse: (…, F, T) complex → (…, length).

    Raises:
        ValueError: a length is impossible.
    """

    SIZES: ClassVar[dict[str, int]] = {"n_fft": 2048, "hop_samples": 512, "synthesis_samples": 1024}

    def __init__(self, n_fft: int = 2048, hop_samples: int = 512, synthesis_samples: int = 1024) -> None:
        super().__init__()
        if not 2 <= n_fft <= LARGEST_N_FFT or n_fft % 2:
            raise ValueError(f"`n_fft` (={n_fft}) must be even and lie in 2 … {LARGEST_N_FFT}")
        whole = hop_samples > 0 and synthesis_samples % hop_samples == synthesis_samples % 2 == 0
        if not whole or not 2 * hop_samples <= synthesis_samples <= n_fft:
            raise ValueError(
                f"`synthesis_samples` (={synthesis_samples}) must be even, a multiple of `hop_samples` "
                f"(={hop_samples}), at least two of them, and at most `n_fft` (={n_fft})"
            )
        self.n_fft, self.hop_samples, self.synthesis_samples = n_fft, hop_samples, synthesis_samples
        self.overlaps = synthesis_samples // hop_samples
        fall = synthesis_samples // 2
        analysis = torch.cat([_sine(2 * (n_fft - fall))[: n_fft - fall], _sine(synthesis_samples)[fall:]])
        synthesis = _sine(synthesis_samples).square() * (2 / self.overlaps) / analysis[-synthesis_samples:]
        self.register_buffer("window", analysis.float(), persistent=False)
        self.register_buffer("synthesis_window", synthesis.float(), persistent=False)

    @property
    def bins(self) -> int:
        return self.n_fft // 2 + 1

    @property
    def latency_samples(self) -> int:
        return self.synthesis_samples - 1

    def forward(self, waveform: Tensor, further_frames: int = 0) -> Tensor:
        """The frames that hold something of the signal where their synthesis window stands, and further ones."""
        length = waveform.shape[-1]
        frames = (length + self.latency_samples) // self.hop_samples + further_frames
        filled = F.pad(waveform, (0, frames * self.hop_samples - length))
        return self.analyse(filled, self.silent_past(waveform))[0]

    def inverse(self, spectrum: Tensor, length: int) -> Tensor:
        """Args:
            spectrum: (…, F, T) complex.
            length: L of the waveform, at most what was transformed.

        Returns:
            (…, L).
        """
        real = spectrum.real
        signal, rest = self.synthesise(spectrum, real.new_zeros(*real.shape[:-2], *self.overlap_shape))
        before = self.synthesis_samples - self.hop_samples  # what the first frame holds of the time before the signal
        return torch.cat([signal, rest.flatten(-2)], dim=-1)[..., before : before + length]

    @property
    def overlap_shape(self) -> tuple[int, int]:
        """Of what frames have left for the samples after them, in hops."""
        return self.overlaps - 1, self.hop_samples

    def silent_past(self, waveform: Tensor) -> Tensor:
        """What :meth:`analyse` begins with, for a waveform (…, any length)."""
        return waveform.new_zeros(*waveform.shape[:-1], self.n_fft - self.hop_samples)

    def analyse(self, samples: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Go on with a signal.

        Args:
            samples: (…, T · hop), T ≥ 1.
            past: (…, n_fft - hop), the samples before these.

        Returns:
            Their frames (…, F, T), and the past of the next ones.
        """
        known = torch.cat([past, samples], dim=-1)
        frames = known.unfold(-1, self.n_fft, self.hop_samples) * self.window
        return torch.fft.rfft(frames).mT, known[..., samples.shape[-1] :].clone()

    def synthesise(self, spectrum: Tensor, overlap: Tensor) -> tuple[Tensor, Tensor]:
        """Go on with a signal: what is complete of it, `synthesis_samples - hop_samples` behind :meth:`analyse`.

        Args:
            spectrum: (…, F, T) complex, T ≥ 1.
            overlap: (…, *overlap_shape), what the frames before have left.

        Returns:
            (…, T · hop), and what is left for the next ones.
        """
        frames = torch.fft.irfft(spectrum.mT, self.n_fft)[..., -self.synthesis_samples :] * self.synthesis_window
        parts, count = frames.unflatten(-1, (self.overlaps, -1)), frames.shape[-2]
        added = frames.new_zeros(*frames.shape[:-2], count + self.overlaps - 1, self.hop_samples)
        added[..., : self.overlaps - 1, :] += overlap
        for i in range(self.overlaps):
            added[..., i : i + count, :] += parts[..., i, :]
        return added[..., :count, :].flatten(-2), added[..., count:, :].clone()


def _sine(samples: int) -> Tensor:
    """Half a period between the samples; its square is a Hann window."""
    # on the meta device, where settings are checked against weights, there would be nothing to compute with
    return torch.sin((torch.arange(samples, dtype=torch.float64, device="cpu") + 0.5) * (math.pi / samples))
