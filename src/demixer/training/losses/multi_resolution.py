"""Errors seen through windows of several lengths."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from demixer.model.separation_network import SeparationNetwork
from demixer.training.losses.terms import Loss, item_means, loudness_weight


@dataclass(frozen=True)
class MultiResolutionLoss(Loss):
    """L1 of the waveform, and the mean magnitude of the error's complex spectrogram at several window lengths.

    As BS-RoFormer and Mel-Band RoFormer are trained (Lu et al. 2023, arXiv 2309.02612, section 3.3; window lengths and
    hop as in lucidrains/BS-RoFormer): a long window tells neighbouring tones apart, a short one where a drum is
    struck, and one network cannot please all of them with errors that only its own transform hides. The spectrograms
    are of the error itself, which by linearity is the difference of spectrograms; windows are not padded with zeros,
    which would add bins between bins and hardly change the mean. It is made for graphics cards: the five transforms
    of four crops of 3 s with four targets hold 1 GB, and take two cores several seconds.

    Args:
        windows_samples: the windows' lengths.
        hop_samples: distance of two windows, of all lengths.
        equal_loudness: weigh each item as if its mixture's RMS were 0.1, see :class:`L1Loss`.
    """

    windows_samples: Sequence[int] = (4096, 2048, 1024, 512, 256)
    hop_samples: int = 147
    equal_loudness: bool = False

    def terms(self, network: SeparationNetwork, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """See :class:`Loss`."""
        error = network(mixture) - targets
        weight = loudness_weight(mixture) if self.equal_loudness else 1
        views = {f"loss_window_{window}": self._magnitude(error, window) for window in self.windows_samples}
        return {name: mean * weight for name, mean in {"loss_waveform": item_means(error), **views}.items()}

    def _magnitude(self, signal: Tensor, window: int) -> Tensor:
        """(B, S, C, L) → (B, S); beyond its ends the signal is silent, so that any length will do."""
        weights = torch.hann_window(window, device=signal.device)
        spectrum = torch.stft(
            signal.flatten(0, 2), window, self.hop_samples, window=weights, pad_mode="constant", return_complex=True
        )
        return spectrum.abs().mean((1, 2)).unflatten(0, signal.shape[:3]).mean(2)
