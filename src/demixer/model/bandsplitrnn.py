"""The network: complex spectrogram of the mixture → complex spectrograms of the targets."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from demixer.model.modules.band_sequence import AttentionConfig, BandSequence, TACConfig
from demixer.model.modules.band_split import BandSplit
from demixer.model.modules.bands import BandTable
from demixer.model.modules.mask_estimation import MaskEstimation
from demixer.model.modules.normalisation import EPS


class BandSplitRNN(nn.Module):
    """Band-Split RNN (Luo & Yu 2022, arXiv 2209.15174), and the variants that a few switches make of it.

    Args:
        widths: each band's width in bins (:func:`demixer.model.modules.bands.band_widths_bins`).
        targets: S, the number of targets that are estimated from the shared features.
        features: N.
        repeats: R.
        rnn: "lstm" or "gru".
        rnn_factor: hidden size of each RNN direction over N.
        dropout: probability before the fully connected layers of the sequence model.
        mask: arguments of :class:`MaskEstimation` (hidden_factor, hidden_layers, frames_last).
        tac: arguments of :class:`TACConfig`, or None.
        attention: arguments of :class:`AttentionConfig`, or None.
        norm_groups: "one" or "features" before each RNN (:class:`BandSequence`).
        norm_eps: of all normalisations.
        joint_channels: C that enter each band together; 1: the channels are processed independently.
        fixed_frames: T, where gains and offsets belong to single frames; None: any T.
        standardised: whether the spectrogram is standardised over channels, bins and frames before, restored after.

    Shapes:
        (B, C, F, T) complex → (B, S, C, F, T) complex, any T unless it is fixed, and any C that ``joint_channels``
        divides; without TAC no independent channel sees another.
    """

    def __init__(
        self,
        widths: Sequence[int],
        targets: int,
        features: int = 128,
        repeats: int = 12,
        rnn: str = "lstm",
        rnn_factor: int = 2,
        dropout: float = 0.0,
        mask: dict[str, Any] | None = None,
        tac: dict[str, Any] | None = None,
        attention: dict[str, Any] | None = None,
        norm_groups: str = "one",
        norm_eps: float = EPS,
        joint_channels: int = 1,
        fixed_frames: int | None = None,
        standardised: bool = False,
    ) -> None:
        super().__init__()
        table, values_per_bin = BandTable(widths), 2 * joint_channels
        self.joint_channels, self.fixed_frames, self.standardised = joint_channels, fixed_frames, standardised
        self.split = BandSplit(table, features, values_per_bin, fixed_frames, norm_eps)
        self.sequence = nn.ModuleList(
            BandSequence(
                features,
                len(table.widths),
                rnn,
                rnn_factor,
                dropout,
                None if tac is None else TACConfig(**tac),
                None if attention is None else AttentionConfig(**attention),
                norm_groups,
                norm_eps,
            )
            for _ in range(repeats)
        )
        self.mask = MaskEstimation(
            table,
            features,
            targets,
            values_per_bin=values_per_bin,
            frames=fixed_frames,
            eps=norm_eps,
            **(mask or {}),
        )

    def forward(self, mixture: Tensor) -> Tensor:
        batch, channels = mixture.shape[:2]
        if self.fixed_frames is not None and mixture.shape[-1] != self.fixed_frames:
            raise ValueError(f"`mixture` has {mixture.shape[-1]} frames: this network takes {self.fixed_frames} only")
        mean, scale = statistics(mixture) if self.standardised else (0.0, None)
        normal = mixture if scale is None else (mixture - mean) / (scale + 1e-5)
        rows = normal.unflatten(1, (-1, self.joint_channels)).permute(4, 0, 1, 3, 2).flatten(1, 2)
        rows = rows.contiguous()  # (T, M, F, joint channels)
        mask = self.estimate_mask(torch.view_as_real(rows).flatten(3), channels)
        mask = torch.view_as_complex(mask.unflatten(4, (-1, 2)).contiguous())  # (S, T, M, F, joint channels)
        estimates = (mask * rows).unflatten(2, (batch, -1)).permute(2, 0, 3, 5, 4, 1).flatten(2, 3)
        return estimates if scale is None else estimates * scale.unsqueeze(1) + mean.unsqueeze(1)

    def compile(self, **options: Any) -> None:
        """Compile the real-valued parts, one by one: the complex mask and its product stay outside.

        Args:
            options: of ``torch.compile``.
        """
        for module in (self.split, *self.sequence, self.mask):
            module.compile(**options)

    def estimate_mask(self, values: Tensor, channels: int) -> Tensor:
        """The real part of the work.

        Args:
            values: (T, M, F, P) real, with P the real and imaginary part of every channel of a row.
            channels: C of an item.

        Returns:
            The mask (S, T, M, F, P) in single precision.
        """
        with torch.autocast(values.device.type, enabled=False):  # else the song itself would be rounded to bf16
            x = self.split(values)
        for module in self.sequence:
            x = module(x, channels // self.joint_channels)
        return self.mask(x).float()


def statistics(spectrum: Tensor) -> tuple[Tensor, Tensor]:
    """The complex mean and the (unbiased) standard deviation of each item (B, C, F, T) → (B, 1, 1, 1) each."""
    mean = spectrum.mean((1, 2, 3), keepdim=True)
    power = torch.view_as_real(spectrum - mean).square().sum((1, 2, 3, 4))[:, None, None, None]
    return mean, torch.sqrt(power / (spectrum[0].numel() - 1))
