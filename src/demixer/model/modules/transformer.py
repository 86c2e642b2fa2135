"""Transformers along one axis of the band features: the sequence model of the RoFormers, where others have RNNs."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.cores import spread_over_cores
from demixer.model.modules.normalisation import for_products, unit_rms
from demixer.model.modules.rotary import rotary_frequencies, rotary_table, rotate

TILE_ROWS = 1024  # positions that are computed at once on a processor: their activations stay in its cache
_LINEAR_SCALE = 8.0
Step = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class TransformerConfig:
    """The sizes of a transformer's layers.

    Args:
        heads: of the attention.
        head_width: features of a head; even.
        feed_forward_factor: hidden width of the feed-forward layers over N.
        dropout: probability, of attention weights and after each linear layer but the first.
        biases: whether the attention's projections have biases, too.
    """

    heads: int = 8
    head_width: int = 64
    feed_forward_factor: float = 4
    dropout: float = 0.0
    biases: bool = False

    def __post_init__(self) -> None:
        if self.heads < 1 or self.head_width < 2 or self.head_width % 2:
            raise ValueError(f"`heads` (={self.heads}) must be positive, `head_width` (={self.head_width}) even")


class RMSNorm(nn.Module):
    """Each vector of features at a root mean square of 1, times a gain per feature (Zhang & Sennrich 2019).

    Shapes:
        (…, N) → (…, N).
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(features))

    def forward(self, x: Tensor) -> Tensor:
        return unit_rms(x) * self.weight

    def folded(self, *layers: nn.Linear) -> Tensor:
        """The weights of linear layers over normalised features, one below the other, with the gain multiplied in."""
        return for_products(torch.cat([layer.weight for layer in layers]) * self.weight)


class Attention(nn.Module):
    """RMS norm → self-attention with rotary positions, each head gated by its own sigmoid → linear layer.

    Shapes:
        (A, L, N) → (A, L, N), what is to be added.
    """

    def __init__(self, features: int, config: TransformerConfig) -> None:
        super().__init__()
        inner = config.heads * config.head_width
        self.config = config
        self.norm = RMSNorm(features)
        self.qkv = nn.Linear(features, 3 * inner, bias=config.biases)
        self.gate = nn.Linear(features, config.heads)
        self.out = nn.Linear(inner, features, bias=config.biases)
        self.dropout = nn.Dropout(config.dropout)
        self.register_buffer("frequencies", rotary_frequencies(config.head_width), persistent=False)

    def step(self, length: int) -> Step:
        """What :meth:`attend` does to sequences of one length: what is the same for all is computed once."""
        weight = self.norm.folded(self.qkv, self.gate)
        own = self.qkv.bias
        bias = F.pad(self.gate.bias, (len(self.qkv.weight), 0)) if own is None else torch.cat([own, self.gate.bias])
        bias, table = for_products(bias), rotary_table(self.frequencies, length)
        out = [None if p is None else for_products(p) for p in (self.out.weight, self.out.bias)]
        return lambda x: self.attend(F.linear(unit_rms(x).to(weight.dtype), weight, bias), table, out)

    def attend(self, projected: Tensor, table: tuple[Tensor, Tensor], out: list[Tensor | None]) -> Tensor:
        """(A, L, 3 · heads · width + heads) → (A, L, N)."""
        heads, width = self.config.heads, self.config.head_width
        rows, gates = projected.split([3 * heads * width, heads], dim=-1)
        rows = rows.unflatten(-1, (3 * heads, width))  # queries, keys and values of all heads
        queries, keys = rotate(rows[:, :, : 2 * heads], *table).chunk(2, dim=2)
        parts = (part.transpose(1, 2) for part in (queries, keys, rows[:, :, 2 * heads :]))
        dropout = self.config.dropout if self.training else 0.0
        attended = F.scaled_dot_product_attention(*parts, dropout_p=dropout).transpose(1, 2)
        return self.dropout(F.linear((attended * gates.sigmoid().unsqueeze(-1)).flatten(2), *out))


class LinearAttention(nn.Module):
    """RMS norm → attention between the features of a head, over all positions (El-Nouby et al. 2021, arXiv 2106.09681).

    Shapes:
        (A, L, N) → (A, L, N), what is to be added.
    """

    def __init__(self, features: int, config: TransformerConfig) -> None:
        super().__init__()
        inner = config.heads * config.head_width
        self.config = config
        self.norm = RMSNorm(features)
        self.qkv = nn.Linear(features, 3 * inner, bias=False)
        self.out = nn.Linear(inner, features, bias=False)
        self.temperature = nn.Parameter(torch.ones(config.heads, 1, 1))

    def step(self, length: int) -> Step:
        weight, out = self.norm.folded(self.qkv), for_products(self.out.weight)

        def attend(x: Tensor) -> Tensor:
            rows = F.linear(unit_rms(x).to(weight.dtype), weight).unflatten(-1, (3, self.config.heads, -1))
            queries, keys, values = rows.permute(2, 0, 3, 4, 1)  # (A, heads, width, L) each
            queries = (F.normalize(queries, dim=-1) * self.temperature.exp()).to(values.dtype)
            keys = F.normalize(keys, dim=-1).to(values.dtype)
            dropout = self.config.dropout if self.training else 0.0
            attended = F.scaled_dot_product_attention(queries, keys, values, dropout_p=dropout, scale=_LINEAR_SCALE)
            return F.linear(attended.permute(0, 3, 1, 2).flatten(2), out)

        return attend


class FeedForward(nn.Module):
    """RMS norm → linear layer → GELU → linear layer.

    Shapes:
        (A, L, N) → (A, L, N), what is to be added.
    """

    def __init__(self, features: int, config: TransformerConfig) -> None:
        super().__init__()
        hidden = int(features * config.feed_forward_factor)
        self.norm = RMSNorm(features)
        self.first, self.second = nn.Linear(features, hidden), nn.Linear(hidden, features)
        self.dropout = nn.Dropout(config.dropout)

    def step(self, length: int) -> Step:
        first = self.norm.folded(self.first), for_products(self.first.bias)
        second = for_products(self.second.weight), for_products(self.second.bias)

        def feed(x: Tensor) -> Tensor:
            hidden = F.gelu(F.linear(unit_rms(x).to(first[0].dtype), *first))
            return self.dropout(F.linear(self.dropout(hidden), *second))

        return feed


class Transformer(nn.Module):
    """Layers of attention and feed-forward along the first axis, each with a residual connection.

    Args:
        layers: what is added one after the other, :class:`Attention` and :class:`FeedForward` in turn.
        norm: what follows the last of them, or None.

    Shapes:
        (steps, A, M, N) → (steps, A, M, N), as :class:`demixer.model.modules.band_sequence.ResidualRNN`.
    """

    def __init__(self, layers: Iterable[nn.Module], norm: RMSNorm | None = None) -> None:
        super().__init__()
        self.layers, self.norm = nn.ModuleList(layers), norm

    @classmethod
    def of(
        cls, features: int, depth: int, config: TransformerConfig, normed: bool, linear: bool = False
    ) -> "Transformer":
        """A transformer of ``depth`` layers with fresh weights; ``normed``: its output is normalised."""
        kinds = (LinearAttention if linear else Attention, FeedForward)
        return cls(
            [kind(features, config) for _ in range(depth) for kind in kinds], RMSNorm(features) if normed else None
        )

    def forward(self, x: Tensor) -> Tensor:
        steps = [layer.step(x.shape[0]) for layer in self.layers]  # weights in the number format of products
        sequences = x.permute(1, 2, 0, 3)  # (A, M, L, N)
        if torch.is_grad_enabled() or x.device.type != "cpu" or torch.compiler.is_compiling():
            return self._add(sequences, steps).permute(2, 0, 1, 3)
        tile, inference = max(1, TILE_ROWS // math.prod(sequences.shape[1:3])), torch.is_inference_mode_enabled()

        def add(part: Tensor) -> Tensor:
            with torch.no_grad(), torch.inference_mode(inference):  # other threads are not in the caller's mode
                return torch.cat([self._add(few, steps) for few in part.split(tile)])

        return spread_over_cores(add, sequences).permute(2, 0, 1, 3)

    def _add(self, sequences: Tensor, steps: Iterable[Step]) -> Tensor:
        x = sequences.flatten(0, 1).contiguous()
        for step in steps:
            x = x + step(x)
        x = x if self.norm is None else self.norm(x)
        return x.unflatten(0, sequences.shape[:2])
