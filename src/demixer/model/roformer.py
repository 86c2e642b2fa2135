"""BS-RoFormer and Mel-Band RoFormer: band-split networks whose sequence model is a transformer."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.band_split_network import BandSplitNetwork
from demixer.model.modules.attention import TransformerConfig
from demixer.model.modules.band_linear import BandLinear, ScaledLinear
from demixer.model.modules.band_split import BandSplit
from demixer.model.modules.band_transformer import BandTransformer
from demixer.model.modules.bands import BandTable
from demixer.model.modules.mask_estimation import MaskConfig, MaskEstimation, TargetMask
from demixer.model.modules.normalisation import RMSNorm, unit_rms
from demixer.model.modules.transformer import Transformer


class RoFormer(BandSplitNetwork):
    """What both have in common; they differ in their bands and in where they normalise.

    Args:
        widths: each band's width in bins.
        targets: S, the number of targets that are estimated from the shared features.
        first_bins: each band's first bin where they overlap.
        features: N.
        repeats: R.
        time_depth: layers along time in each of the R modules.
        band_depth: layers across bands in each.
        linear_depth: layers of linear attention over all frames and bands, before those.
        skip: give each module the sum of all earlier ones' outputs, too.
        channels: C that enter each band together; 1: any number, each by itself.
        zero_dc: the estimates have nothing at 0 Hz.
        first_bin: the lowest bin of the first band; what is below it and above the last is left out of the estimates.
        mask: arguments of :class:`MaskConfig`.
        attention: arguments of :class:`TransformerConfig`.

    Shapes:
        (B, C, F, T) complex → (B, S, C, F, T) complex, any T; for C = 2 a single channel is heard as two equal ones.

    Raises:
        ValueError: a size is impossible, or the mixture has other channels.
    """

    norm_each = False  # each transformer's output, or once what the masks are estimated from

    def __init__(
        self,
        widths: Sequence[int],
        targets: int,
        first_bins: Sequence[int] | None = None,
        features: int = 384,
        repeats: int = 6,
        time_depth: int = 1,
        band_depth: int = 1,
        linear_depth: int = 0,
        skip: bool = False,
        channels: int = 2,
        zero_dc: bool = False,
        first_bin: int | None = None,
        mask: dict[str, Any] | None = None,
        **attention: Any,
    ) -> None:
        table, config, mask_config = (
            BandTable(widths, first_bins),
            TransformerConfig(**attention),
            MaskConfig(**(mask or {})),
        )
        values = 2 * channels

        def transformer(depth: int, later: bool, linear: bool = False) -> Transformer:
            return Transformer.of(features, depth, config, self.norm_each, linear, later)

        def module(later: bool) -> BandTransformer:
            linear = transformer(linear_depth, later, linear=True) if linear_depth else None
            return BandTransformer(transformer(time_depth, later), transformer(band_depth, later), linear)

        super().__init__(
            BandSplit(table, features, values_per_bin=values, projection=ScaledLinear, normalise=unit_rms),
            [module(later=r > 0) for r in range(repeats)],
            MaskEstimation(
                [TargetMask(table, features, mask_config, values, BandLinear) for _ in range(targets)],
                normalise=nn.Identity() if self.norm_each else RMSNorm(features),
            ),
        )
        self.skip, self.channels, self.zero_dc = skip, channels, zero_dc
        self.streams, self.first_bin, self.bins = config.streams, first_bin or 0, table.bins

    def forward(self, mixture: Tensor) -> Tensor:
        heard = self._heard(mixture)
        estimates = super().forward(heard)
        return estimates if heard is mixture else estimates.mean(2, keepdim=True)

    def forward_real(self, mixture: Tensor) -> Tensor:
        heard = self._heard(mixture)
        estimates = super().forward_real(heard)
        return estimates if heard is mixture else estimates.mean(2, keepdim=True)

    def _heard(self, mixture: Tensor) -> Tensor:
        """A single channel twice, where two enter together."""
        if self.channels == 1 or mixture.shape[1] == self.channels:
            return mixture
        if mixture.shape[1] != 1:
            raise ValueError(f"`mixture` has {mixture.shape[1]} channels: this network takes 1 or {self.channels}")
        return mixture.expand(-1, self.channels, *mixture.shape[2:])

    def estimate_mask(self, values: Tensor, channels: int) -> Tensor:
        above = values.shape[2] - self.first_bin - self.bins
        values = values.narrow(2, self.first_bin, self.bins)
        joint = values if self.channels == 1 else values.unflatten(1, (-1, channels)).transpose(2, 3).flatten(3)
        masks = super().estimate_mask(joint, 1 if self.channels > 1 else channels)  # joint: (S, T, B, F, 2 · C)
        masks = F.pad(masks, (0, 0, self.first_bin, above)) if self.first_bin or above else masks
        masks = F.pad(masks[..., 1:, :], (0, 0, 1, 0)) if self.zero_dc else masks
        return masks if self.channels == 1 else masks.unflatten(4, (channels, 2)).transpose(3, 4).flatten(2, 3)

    def run_sequence(self, x: Tensor, channels: int) -> Tensor:
        x = x.repeat(1, 1, 1, self.streams) if self.streams > 1 else x
        earlier, values = torch.zeros_like(x) if self.skip else None, (None,) * 3
        for module in self.sequence:
            x = self.run_module(module, x, channels, earlier, values)
            if module.hands_on:
                x, *values = x
            earlier = earlier + x if self.skip else None
        return x.unflatten(-1, (self.streams, -1)).sum(-2) if self.streams > 1 else x


class BSRoFormer(RoFormer):
    """BS-RoFormer (Lu et al. 2023, arXiv 2309.02612): bands that tile the spectrum, one normalisation at the end."""


class MelBandRoFormer(RoFormer):
    """Mel-Band RoFormer (Wang et al. 2023, arXiv 2310.01809): bands overlap, each transformer normalises its output."""

    norm_each = True
