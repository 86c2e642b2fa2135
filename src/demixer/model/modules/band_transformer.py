"""The sibling of :class:`demixer.model.modules.band_sequence.BandSequence`, with transformers in the RNNs' place."""

from collections.abc import Sequence

from torch import Tensor, nn

from demixer.model.modules.transformer import Transformer


class BandTransformer(nn.Module):
    """One module: over all positions, where there is such, then along time, then across bands.

    Args:
        time: along the first axis of (T, K, M, N) → the same.
        band: along the first axis of (K, T, M, N) → the same.
        linear: along the first axis of (K · T, 1, M, N) → the same, or None.

    Attributes:
        hands_on: gives each transformer's values, too.

    Shapes:
        (K, T, M, N) → (K, T, M, N), any M; N of all residual streams.
    """

    def __init__(self, time: Transformer, band: Transformer, linear: Transformer | None = None) -> None:
        super().__init__()
        self.time, self.band, self.linear = time, band, linear
        self.hands_on = time.hands_on or band.hands_on

    def forward(
        self, x: Tensor, channels: int, skipped: Tensor | None = None, first: Sequence[Tensor | None] = (None,) * 3
    ) -> Tensor | tuple[Tensor | None, ...]:
        """One module's output, and the values of its three transformers where it hands them on.

        Args:
            x: features (K, T, M, N).
            channels: of an item.
            skipped: of the same shape, is added before the transformers along an axis.
            first: what the first module handed on.
        """
        over_all = along_time = across_bands = None
        if self.linear is not None:
            done, over_all = self.linear(x.flatten(0, 1).unsqueeze(1), first[0])
            x = done.squeeze(1).unflatten(0, x.shape[:2])
        if skipped is not None:
            x = x + skipped
        x, along_time = self.time(x.transpose(0, 1), first[1])
        x, across_bands = self.band(x.transpose(0, 1), first[2])
        return (x, over_all, along_time, across_bands) if self.hands_on else x
