"""Attention of the RoFormers: between the positions of an axis, or between features over all positions."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.modules.dot_product import dot_product_attention
from demixer.model.modules.normalisation import RMSNorm, for_products, unit_rms
from demixer.model.modules.polar import PolarPositions
from demixer.model.modules.products import prepared
from demixer.model.modules.rotary import RotaryPositions

POSITIONS = {"rotary": RotaryPositions, "pope": PolarPositions}
VALUE_RESIDUALS = ("none", "lerp", "swapped")
_LINEAR_SCALE = 8.0
Step = Callable[[Tensor, Tensor | None], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of a transformer's layers.

    Args:
        heads: of the attention.
        head_width: features of a head; even.
        feed_forward_factor: hidden width of the feed-forward layers over N.
        dropout: probability, of attention weights and after each linear layer but the first.
        biases: whether the attention's projections have biases, too.
        positions: "rotary" or "pope".
        value_residuals: "lerp": all modules but the first mix their values with the first's, head by head (Zhou et al.
            2024, arXiv 2410.17897). "swapped": as the released Mel-Band RoFormer has it, along an axis the first's
            values are what mixes, and the gate is what they mix with. "none".
        streams: of residuals, which hyper-connections mix where there are several.
        fractions: of the features, which they mix, too.
        sinkhorn_iterations: of those.
    """

    heads: int = 8
    head_width: int = 64
    feed_forward_factor: float = 4
    dropout: float = 0.0
    biases: bool = False
    positions: str = "rotary"
    value_residuals: str = "none"
    streams: int = 1
    fractions: int = 1
    sinkhorn_iterations: int = 2

    def __post_init__(self) -> None:
        if self.heads < 1 or self.head_width < 2 or self.head_width % 2:
            raise ValueError(f"`heads` (={self.heads}) must be positive, `head_width` (={self.head_width}) even")

    @property
    def inner(self) -> int:
        """Features of all heads."""
        return self.heads * self.head_width


class Attention(nn.Module):
    """RMS norm → self-attention with positions, each head gated by its own sigmoid → linear layer.

    Args:
        features: N.
        config: the sizes.
        mixes: whether the values are mixed with the first module's.

    Shapes:
        (A, L, N) → (A, L, N), what is to be added, and the values (A, L, heads · width) where others mix with them.
    """

    def __init__(self, features: int, config: TransformerConfig, mixes: bool = False) -> None:
        super().__init__()
        self.config = config
        self.norm = RMSNorm(features)
        self.qkv = nn.Linear(features, 3 * config.inner, bias=config.biases)
        self.gate = nn.Linear(features, config.heads)
        self.mix = nn.Linear(features, config.heads) if mixes else None
        self.out = nn.Linear(config.inner, features, bias=config.biases)
        self.dropout = nn.Dropout(config.dropout)
        self.positions = POSITIONS[config.positions](config.heads, config.head_width)

    def step(self, length: int) -> Step:
        """What :meth:`attend` does to sequences of one length: what is the same for all is computed once."""
        layers = [layer for layer in (self.qkv, self.gate, self.mix) if layer is not None]
        weight, table = self.norm.folded(*layers), self.positions.table(length)
        biases = [x.weight.new_zeros(len(x.weight)) if x.bias is None else x.bias for x in layers]
        project = prepared(weight, for_products(torch.cat(biases)))
        out = prepared(*(None if p is None else for_products(p) for p in (self.out.weight, self.out.bias)))
        return lambda x, first: self.attend(project(unit_rms(x).to(weight.dtype)), table, out, first)

    def attend(
        self, projected: Tensor, table: tuple[Tensor, Tensor], out: Callable[[Tensor], Tensor], first: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """(A, L, 3 · heads · width + heads, or twice as many gates), and the first module's values."""
        heads, width = self.config.heads, self.config.head_width
        rows, gates = projected.split([3 * heads * width, projected.shape[-1] - 3 * heads * width], dim=-1)
        rows, gates = rows.unflatten(-1, (3 * heads, width)), gates.sigmoid().unsqueeze(-1)
        queries, keys = self.positions(rows[:, :, : 2 * heads], table).chunk(2, dim=2)
        own = values = rows[:, :, 2 * heads :]
        if self.mix is not None:
            swapped = self.config.value_residuals == "swapped"
            values = mixed(own, first.unflatten(-1, (heads, width)), gates[:, :, heads:], swapped)
        dropout = self.config.dropout if self.training else 0.0
        attended = dot_product_attention(queries, keys, values, width**-0.5, dropout)
        added = self.dropout(out((attended * gates[:, :, :heads]).flatten(2)))
        return added, None if self.config.value_residuals == "none" else own.flatten(2)


class LinearAttention(nn.Module):
    """RMS norm → attention between the features of a head, over all positions (El-Nouby et al. 2021, arXiv 2106.09681).

    Args:
        features: N.
        config: the sizes.
        mixes: whether the values are mixed with the first module's.

    Shapes:
        (A, L, N) → (A, L, N), what is to be added, and the values (A, L, heads · width) where others mix with them.
    """

    def __init__(self, features: int, config: TransformerConfig, mixes: bool = False) -> None:
        super().__init__()
        self.config = config
        self.norm = RMSNorm(features)
        self.qkv = nn.Linear(features, 3 * config.inner, bias=False)
        self.mix = nn.Linear(features, config.heads) if mixes else None
        self.out = nn.Linear(config.inner, features, bias=False)
        self.temperature = nn.Parameter(torch.ones(config.heads, 1, 1))

    def step(self, length: int) -> Step:
        weight, out = self.norm.folded(self.qkv), prepared(for_products(self.out.weight))
        project = prepared(weight)

        def attend(x: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor | None]:
            heard = unit_rms(x).to(weight.dtype)
            rows = project(heard).unflatten(-1, (3, self.config.heads, -1))
            own = values = rows[:, :, 2]
            if self.mix is not None:
                gain = self.mix(heard * self.norm.weight).sigmoid().unsqueeze(-1)
                values = mixed(own, first.view_as(own), gain, swapped=False)
            queries, keys = (F.normalize(rows[:, :, i].permute(0, 2, 3, 1), dim=-1) for i in range(2))
            queries = (queries * self.temperature.exp()).to(values.dtype)
            values, keys = values.permute(0, 2, 3, 1), keys.to(values.dtype)  # (A, heads, width, L) each
            dropout = self.config.dropout if self.training else 0.0
            attended = F.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout, scale=_LINEAR_SCALE)
            added = out(attended.permute(0, 3, 1, 2).flatten(2))
            return added, None if self.config.value_residuals == "none" else own.flatten(2)

        return attend


def mixed(values: Tensor, first: Tensor, gates: Tensor, swapped: bool) -> Tensor:
    """Values and those of the first module (A, L, heads, width) by gates (A, L, heads, 1) → one between them."""
    first = first.to(values.dtype)
    return values + first * (gates - values) if swapped else values + gates * (first - values)
