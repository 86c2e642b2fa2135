"""The network: complex spectrogram of the mixture → complex spectrograms of the targets."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from model.modules.band_sequence import AttentionConfig, BandSequence, TACConfig
from model.modules.band_split import BandSplit
from model.modules.bands import BandTable
from model.modules.mask_estimation import MaskEstimation


class BandSplitRNN(nn.Module):
    """Band-Split RNN (Luo & Yu 2022, arXiv 2209.15174), and the variants that a few switches make of it.

    Args:
        widths: each band's width in bins (:func:`model.modules.bands.band_widths_bins`).
        targets: S, the number of targets that are estimated from the shared features.
        features: N.
        repeats: R.
        rnn: "lstm" or "gru".
        rnn_factor: hidden size of each RNN direction over N.
        dropout: probability before the fully connected layers of the sequence model.
        mask: arguments of :class:`MaskEstimation` (hidden_factor, hidden_layers).
        tac: arguments of :class:`TACConfig`, or None.
        attention: arguments of :class:`AttentionConfig`, or None.

    Shapes:
        (B, C, F, T) complex → (B, S, C, F, T) complex, any C and T; without TAC no channel sees another.
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
    ) -> None:
        super().__init__()
        table = BandTable(widths)
        self.split = BandSplit(table, features)
        self.sequence = nn.ModuleList(
            BandSequence(
                features,
                len(table.widths),
                rnn,
                rnn_factor,
                dropout,
                None if tac is None else TACConfig(**tac),
                None if attention is None else AttentionConfig(**attention),
            )
            for _ in range(repeats)
        )
        self.mask = MaskEstimation(table, features, targets, **(mask or {}))

    def forward(self, mixture: Tensor) -> Tensor:
        batch, channels = mixture.shape[:2]
        frames_first = mixture.flatten(0, 1).permute(2, 0, 1).contiguous()  # (T, B·C, F)
        x = self.split(torch.view_as_real(frames_first)).float()  # the residual stream stays exact under autocast
        for module in self.sequence:
            x = module(x, channels)
        mask = torch.view_as_complex(self.mask(x).float())
        estimates = mask * frames_first  # (S, T, B·C, F)
        return estimates.unflatten(2, (batch, channels)).permute(2, 0, 3, 4, 1)
