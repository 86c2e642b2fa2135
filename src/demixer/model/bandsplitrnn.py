"""The paper's network: band-split RNN."""

from collections.abc import Sequence
from typing import Any

from demixer.model.band_split_network import BandSplitNetwork
from demixer.model.modules.band_sequence import (
    TAC,
    AttentionConfig,
    BandSequence,
    FrameAttention,
    ResidualRNN,
    TACConfig,
)
from demixer.model.modules.band_split import BandSplit
from demixer.model.modules.bands import BandTable
from demixer.model.modules.mask_estimation import MaskConfig, MaskEstimation, TargetMask
from demixer.model.modules.normalisation import EPS


class BandSplitRNN(BandSplitNetwork):
    """Band-Split RNN (Luo & Yu 2022, arXiv 2209.15174), and its variants with TAC and attention (arXiv 2603.09187).

    Args:
        widths: each band's width in bins (:func:`demixer.model.modules.bands.band_widths_bins`).
        targets: S, the number of targets that are estimated from the shared features.
        features: N.
        repeats: R.
        rnn: "lstm" or "gru".
        rnn_factor: hidden size of each RNN direction over N.
        dropout: probability before the fully connected layers of the sequence model.
        mask: arguments of :class:`MaskConfig`.
        tac: arguments of :class:`TACConfig`, or None.
        attention: arguments of :class:`AttentionConfig`, or None.
        norm_eps: of all normalisations.

    Shapes:
        (B, C, F, T) complex → (B, S, C, F, T) complex, any C and T; without TAC no channel sees another.

    Raises:
        ValueError: ``rnn`` or an activation is unknown, or ``attention.heads`` does not divide ``features``.
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
        norm_eps: float = EPS,
    ) -> None:
        table, bands, mask_config = BandTable(widths), len(widths), MaskConfig(**(mask or {}))

        def module() -> BandSequence:
            time, band = (ResidualRNN(features, rnn_factor * features, rnn, dropout, norm_eps) for _ in range(2))
            channels = None if tac is None else TAC(features, TACConfig(**tac))
            if attention is None:
                return BandSequence(time, band, channels)
            return BandSequence(
                time, band, channels, FrameAttention(features, bands, AttentionConfig(**attention), norm_eps)
            )

        super().__init__(
            BandSplit(table, features, norm_eps),
            [module() for _ in range(repeats)],
            MaskEstimation([TargetMask(table, features, mask_config) for _ in range(targets)], norm_eps),
        )
