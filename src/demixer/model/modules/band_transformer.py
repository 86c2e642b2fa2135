"""The sibling of :class:`demixer.model.modules.band_sequence.BandSequence`, with transformers in the RNNs' place."""

from torch import Tensor, nn

from demixer.model.modules.transformer import Transformer


class BandTransformer(nn.Module):
    """One module: over all positions, where there is such, then along time, then across bands.

    Args:
        time: along the first axis of (T, K, M, N) → the same.
        band: along the first axis of (K, T, M, N) → the same.
        linear: along the first axis of (K · T, 1, M, N) → the same, or None.

    Shapes:
        (K, T, M, N) → (K, T, M, N), any M.
    """

    def __init__(self, time: Transformer, band: Transformer, linear: Transformer | None = None) -> None:
        super().__init__()
        self.time, self.band, self.linear = time, band, linear

    def forward(self, x: Tensor, channels: int, skipped: Tensor | None = None) -> Tensor:
        """Features (K, T, M, N); ``skipped`` of the same shape is added before the transformers along an axis."""
        if self.linear is not None:
            x = self.linear(x.flatten(0, 1).unsqueeze(1)).squeeze(1).unflatten(0, x.shape[:2])
        if skipped is not None:
            x = x + skipped
        return self.band(self.time(x.transpose(0, 1)).transpose(0, 1))
