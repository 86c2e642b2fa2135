"""Transformers along one axis of the band features: the sequence model of the RoFormers, where others have RNNs."""

import math
from collections.abc import Iterable, Sequence
from typing import Self

import torch
from torch import Tensor, nn

from demixer.cores import spread_over_cores
from demixer.model.modules.attention import Attention, LinearAttention, Step, TransformerConfig
from demixer.model.modules.hyper_connections import HyperConnection, rows_as_streams, streams_as_rows
from demixer.model.modules.normalisation import RMSNorm, for_products, unit_rms
from demixer.model.modules.products import prepared

TILE_ROWS = 1024  # positions that are computed at once on a processor: their activations stay in its cache


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
        weight = self.norm.folded(self.first)
        enter = prepared(weight, for_products(self.first.bias), "gelu")
        leave = prepared(for_products(self.second.weight), for_products(self.second.bias))

        def feed(x: Tensor, _: Tensor | None) -> tuple[Tensor, None]:
            return self.dropout(leave(self.dropout(enter(unit_rms(x).to(weight.dtype))))), None

        return feed


class Transformer(nn.Module):
    """Layers of attention and feed-forward along the first axis, each with a residual connection.

    Args:
        layers: what is added one after the other, :class:`Attention` and :class:`FeedForward` in turn.
        norm: what follows the last of them, or None.
        connections: of each layer to S residual streams, in place of the one; none: one.
        hands_on: give the first layer's values, too.

    Shapes:
        (steps, A, M, S · N) and the first module's values (steps, A, M, heads · width) or None → the same: its output,
        and the values that it hands on, if it does.
    """

    def __init__(
        self,
        layers: Iterable[nn.Module],
        norm: RMSNorm | None = None,
        connections: Iterable[HyperConnection] = (),
        hands_on: bool = False,
    ) -> None:
        super().__init__()
        self.layers, self.norm, self.connections = nn.ModuleList(layers), norm, nn.ModuleList(connections)
        self.hands_on = hands_on

    @classmethod
    def of(
        cls,
        features: int,
        depth: int,
        config: TransformerConfig,
        normed: bool,
        linear: bool = False,
        later: bool = False,
    ) -> Self:
        """A transformer of ``depth`` layers with fresh weights.

        Args:
            features: N.
            depth: number of pairs of layers.
            config: their sizes.
            normed: its output is normalised.
            linear: its attention is.
            later: there is a module before.
        """
        kind, residuals = LinearAttention if linear else Attention, config.value_residuals != "none"
        pairs = [(kind(features, config, residuals and later), FeedForward(features, config)) for _ in range(depth)]
        several = (config.streams, config.fractions, config.sinkhorn_iterations)
        mixed = config.streams * config.fractions > 1
        connections = [HyperConnection(features, *several, i) for i in range(2 * depth)] if mixed else []
        norm = RMSNorm(features) if normed else None
        hands_on = residuals and not later and depth > 0
        return cls([layer for pair in pairs for layer in pair], norm, connections, hands_on)

    def forward(self, x: Tensor, first: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        steps = [layer.step(x.shape[0]) for layer in self.layers]  # weights in the number format of products
        streams = self.connections[0].streams if self.connections else 1
        heard = rows_as_streams(x, streams) if streams > 1 else x
        both = heard if first is None else torch.cat([heard, first], dim=-1)
        done = self._spread(both.permute(1, 2, 0, 3), steps, x.shape[-1]).permute(2, 0, 1, 3)
        x, values = (done[..., : x.shape[-1]], done[..., x.shape[-1] :]) if self.hands_on else (done, None)
        return (streams_as_rows(x, streams) if streams > 1 else x), values

    def _spread(self, sequences: Tensor, steps: Sequence[Step], width: int) -> Tensor:
        """On a processor a few sequences after the other, which stay in its cache, and others on its other cores."""
        if torch.is_grad_enabled() or sequences.device.type != "cpu" or torch.compiler.is_compiling():
            return self._add(sequences, steps, width)
        tile, inference = max(1, TILE_ROWS // math.prod(sequences.shape[1:3])), torch.is_inference_mode_enabled()

        def add(part: Tensor) -> Tensor:
            with torch.inference_mode(inference), torch.no_grad():  # other threads are not in the caller's modes
                return torch.cat([self._add(few, steps, width) for few in part.split(tile)])

        return spread_over_cores(add, sequences)

    def _add(self, sequences: Tensor, steps: Sequence[Step], width: int) -> Tensor:
        x, first, values = sequences.flatten(0, 1).contiguous(), None, None
        if x.shape[-1] > width:
            x, first = x[..., :width], x[..., width:]
        for place, step in enumerate(steps):
            x, own = self._connected(place, step, x, first)
            values = own if values is None else values
        if self.norm is not None:
            x = self.norm(x.unflatten(-1, (-1, len(self.norm.weight)))).flatten(-2)
        x = torch.cat([x, values], dim=-1) if self.hands_on else x
        return x.unflatten(0, sequences.shape[:2])

    def _connected(self, place: int, step: Step, x: Tensor, first: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The residuals after one layer, and its values."""
        if not self.connections:
            added, values = step(x, first)
            return x + added, values
        connection = self.connections[place]
        with torch.autocast(x.device.type, enabled=False):
            heard, kept, add = connection.hear(x.float())
        added, values = step(heard, first)
        with torch.autocast(x.device.type, enabled=False):
            return connection.take(kept, add, added), values
