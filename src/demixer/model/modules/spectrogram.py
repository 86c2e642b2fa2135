"""Waveform to complex spectrogram and back: the two belong together, so they stand together."""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST_N_FFT = 1 << 20  # 24 s at 44.1 kHz


class Spectrogram(nn.Module):
    """Short-time Fourier transform with a periodic Hann window, and its inverse.

    Frames are centred on multiples of the hop (the signal is reflected at both ends), because only then does the
    inverse reconstruct the first and last samples.

    Args:
        n_fft: transform length in samples; gives F = n_fft / 2 + 1 bins.
        hop_samples: distance of two frames in samples, at most half a window.
        window_samples: length of the window, which silence surrounds up to ``n_fft``; None: ``n_fft``.

    Shapes:
        forward: (…, L) real → (…, F, T) complex, frame-major in memory: a frame's bins lie side by side.
        inverse: (…, F, T) complex → (…, length).

    Raises:
        ValueError: the transform is of an impossible length, or the hop leaves samples that no two windows cover.
    """

    SIZES: ClassVar[dict[str, int | None]] = {"n_fft": 2048, "hop_samples": 512, "window_samples": None}

    def __init__(self, n_fft: int = 2048, hop_samples: int = 512, window_samples: int | None = None) -> None:
        super().__init__()
        window_samples = n_fft if window_samples is None else window_samples
        if not 2 <= n_fft <= LARGEST_N_FFT:
            raise ValueError(f"`n_fft` (={n_fft}) must lie in 2 … {LARGEST_N_FFT}")
        if not 2 <= window_samples <= n_fft:
            raise ValueError(f"`window_samples` (={window_samples}) must lie in 2 … `n_fft` (={n_fft})")
        if not 0 < hop_samples <= window_samples // 2:
            name = "n_fft" if window_samples == n_fft else "window_samples"
            raise ValueError(f"`hop_samples` (={hop_samples}) must lie in 1 … `{name}` / 2 (={window_samples // 2})")
        self.n_fft, self.hop_samples, self.window_samples = n_fft, hop_samples, window_samples
        # on the meta device, where settings are checked against weights, torch would import its compiler for it: 0.9 s
        window, left = torch.hann_window(window_samples, device="cpu"), (n_fft - window_samples) // 2
        self.register_buffer("window", F.pad(window, (left, n_fft - window_samples - left)), persistent=False)

    @property
    def bins(self) -> int:
        return self.n_fft // 2 + 1

    def padded_length(self, length: int) -> int:
        """The length that is transformed: long enough to reflect, and with every sample well inside some window.

        The last frame stands at the last multiple of the hop. With a hop up to a quarter of the window, what follows
        it is still well covered; with a longer one it would be divided by the window's vanishing edge.
        """
        if 4 * self.hop_samples > self.window_samples:
            length = -(-length // self.hop_samples) * self.hop_samples
        return max(length, self.n_fft // 2 + 1)

    def forward(self, waveform: Tensor) -> Tensor:
        shape, length = waveform.shape[:-1], waveform.shape[-1]
        flat = F.pad(waveform.reshape(-1, length), (0, self.padded_length(length) - length))
        spectrum = torch.stft(
            flat, self.n_fft, self.hop_samples, window=self.window, pad_mode="reflect", return_complex=True
        )
        return spectrum.reshape(*shape, *spectrum.shape[-2:])

    def inverse(self, spectrum: Tensor, length: int) -> Tensor:
        """The least-squares inverse (Griffin & Lim 1984): windowed frames, added up, over the windows' energy.

        What ``torch.istft`` computes, but frame by frame as the network's product lies in memory: half the time.

        Args:
            spectrum: (…, F, T) complex.
            length: L of the waveform, at most what was transformed.

        Returns:
            (…, L).
        """
        frames = torch.fft.irfft(spectrum.mT, self.n_fft)
        energy = self._overlap_add(self.window.expand(frames.shape[-2], -1))
        inside = slice(self.n_fft // 2, self.n_fft // 2 + length)
        return self._overlap_add(frames)[..., inside] / energy[inside]

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """(…, T, n_fft) → (…, hop · (T - 1) + n_fft or a little more), windowed on the way."""
        overlaps, count = -(-self.n_fft // self.hop_samples), frames.shape[-2]
        if missing := overlaps * self.hop_samples - self.n_fft:
            frames = F.pad(frames, (0, missing))
        parts = frames.unflatten(-1, (overlaps, -1))
        windows = F.pad(self.window, (0, missing)).unflatten(0, (overlaps, -1))
        added = frames.new_zeros(*frames.shape[:-2], count + overlaps - 1, self.hop_samples)
        for i in range(overlaps):
            added[..., i : i + count, :].addcmul_(parts[..., i, :], windows[i])
        return added.flatten(-2)
