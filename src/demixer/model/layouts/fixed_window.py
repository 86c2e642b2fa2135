"""The network of amanteur's and crlandsc's checkpoints: the paper's with a few parts exchanged, for one length only."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.band_split_network import BandSplitNetwork
from demixer.model.modules.band_linear import BandLinear
from demixer.model.modules.band_sequence import BandSequence, ResidualRNN
from demixer.model.modules.band_split import BandSplit
from demixer.model.modules.bands import BandTable
from demixer.model.modules.mask_estimation import MaskConfig, MaskEstimation, TargetMask
from demixer.model.modules.spectrogram import Spectrogram
from demixer.model.separation_network import SeparationNetwork

CHANNELS = 2


class FixedWindowRNN(BandSplitNetwork):
    """A band-split RNN whose two channels enter each band together, and whose layer norms know each frame by itself.

    The spectrogram is standardised over channels, bins and frames before, and restored after.

    Args:
        widths: each band's width in bins.
        targets: S.
        frames: T, the only number of frames that the network takes.
        frames_last: whether the masks are read in another order than they are written in (:class:`FramesLastMask`).
        features: N.
        repeats: R.
        rnn: "lstm" or "gru".
        rnn_factor: hidden size of each RNN direction over N.
        mask: arguments of :class:`MaskConfig`.

    Shapes:
        (B, C, F, T) complex → (B, S, C, F, T) complex; a single channel is heard as two equal ones.

    Raises:
        ValueError: the mixture has another number of frames, or more than two channels.
    """

    def __init__(
        self,
        widths: Sequence[int],
        targets: int,
        frames: int,
        frames_last: bool = False,
        features: int = 128,
        repeats: int = 12,
        rnn: str = "lstm",
        rnn_factor: int = 2,
        mask: dict[str, Any] | None = None,
    ) -> None:
        table, config = BandTable(widths), MaskConfig(**(mask or {}))
        joint = {"values_per_bin": 2 * CHANNELS, "projection": partial(FramewiseLinear, frames)}
        estimator = FramesLastMask if frames_last else TargetMask

        def module() -> BandSequence:
            return BandSequence(*(PerFeatureRNN(features, rnn_factor * features, rnn) for _ in range(2)))

        super().__init__(
            BandSplit(table, features, **joint),
            [module() for _ in range(repeats)],
            MaskEstimation(estimator(table, features, config, **joint) for _ in range(targets)),
        )
        self.frames = frames

    def forward(self, mixture: Tensor) -> Tensor:
        return self._restored(super().forward, mixture)

    def forward_real(self, mixture: Tensor) -> Tensor:
        return self._restored(super().forward_real, mixture)

    def _restored(self, estimate: Callable[[Tensor], Tensor], mixture: Tensor) -> Tensor:
        """Estimates of the standardised mixture, at its own mean and deviation; complex, or with the parts last."""
        if mixture.shape[1] == 1:
            both = mixture.expand(-1, CHANNELS, *mixture.shape[2:])
            return self._restored(estimate, both).mean(2, keepdim=True)
        mean = mixture.mean((1, 2, 3), keepdim=True)
        norm = torch.linalg.vector_norm(mixture - mean, dim=tuple(range(1, mixture.ndim)), keepdim=True)
        deviation = norm / math.sqrt(math.prod(mixture.shape[1:4]) - 1)
        estimates = estimate((mixture - mean) / (deviation + 1e-5))
        return estimates * deviation.unsqueeze(1) + mean.unsqueeze(1)

    def estimate_mask(self, values: Tensor, channels: int) -> Tensor:
        """The channels of an item become values of one bin, and channels again."""
        if channels != CHANNELS:
            raise ValueError(f"`mixture` has {channels} channels: this network takes 1 or {CHANNELS}")
        if len(values) != self.frames:
            raise ValueError(f"`mixture` has {len(values)} frames: this network takes {self.frames} only")
        joint = values.unflatten(1, (-1, channels)).transpose(2, 3).flatten(3)  # (T, B, F, 2 · C)
        masks = super().estimate_mask(joint, 1)
        return masks.unflatten(4, (channels, 2)).transpose(3, 4).flatten(2, 3)


class PerFeatureRNN(ResidualRNN):
    """Each feature is normalised by itself, over the steps of its sequence."""

    def normalise(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, 0, correction=0, keepdim=True)
        scale = torch.rsqrt(variance + self.norm.eps) * self.norm.weight
        return torch.addcmul(self.norm.bias - mean * scale, x, scale)


class FramewiseLinear(nn.Module):
    """The affine map of a layer norm over frames and features, which no linear layer can fold, and the linear layer.

    Shapes:
        (G, T, M, inputs) standardised → (G, T, M, outputs).
    """

    def __init__(self, frames: int, bands: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm_weight = nn.Parameter(torch.ones(bands, frames, inputs))
        self.norm_bias = nn.Parameter(torch.zeros(bands, frames, inputs))
        self.linear = BandLinear(bands, inputs, outputs)

    def forward(self, standardised: Tensor, activation: str = "none") -> Tensor:
        affine = torch.addcmul(self.norm_bias.unsqueeze(2), standardised, self.norm_weight.unsqueeze(2))
        return self.linear(affine, activation)


class FramesLastMask(TargetMask):
    """Reads a band's values as (P, width, T) in memory, although the layers write (T, P · width).

    Checkpoints that were trained with this mix-up of frames and bins need it.
    """

    def gate(self, outputs: Tensor) -> Tensor:
        written = super().gate(outputs).transpose(1, 2)  # (G, M, T, P · width)
        groups, rows, frames, values = written.shape
        read = written.reshape(groups, rows, self.values_per_bin, values // self.values_per_bin, frames)
        return read.permute(0, 4, 1, 3, 2).flatten(3)


class FixedWindowNetwork(SeparationNetwork):
    """A separation network for windows of one length: a shorter mixture is followed by silence.

    Raises:
        ValueError: the transform makes another number of frames of that length; or the mixture is longer.
    """

    def __init__(
        self, targets: Sequence[str], sample_rate_hz: int, spectrogram: Spectrogram, bandsplitrnn: FixedWindowRNN
    ) -> None:
        super().__init__(targets, sample_rate_hz, spectrogram, bandsplitrnn)
        self.window_samples = (bandsplitrnn.frames - 1) * spectrogram.hop_samples
        frames = spectrogram.padded_length(self.window_samples) // spectrogram.hop_samples + 1
        if frames != bandsplitrnn.frames:
            raise ValueError(
                f"`hop_samples` (={spectrogram.hop_samples}) makes {frames} frames of a window, and the network takes "
                f"{bandsplitrnn.frames}"
            )

    def forward(self, mixture: Tensor) -> Tensor:
        length = mixture.shape[-1]
        if length > self.window_samples:
            raise ValueError(f"`mixture` has {length} samples: this network takes {self.window_samples}")
        return super().forward(F.pad(mixture, (0, self.window_samples - length)))[..., :length]
