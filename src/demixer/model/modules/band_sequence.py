"""The sequence model over band features: along time, across bands, and optionally across channels and frames."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.modules.normalisation import EPS, for_products, group_norm
from demixer.model.modules.prelu import PReLU
from demixer.model.modules.products import Linear, linear


@dataclass(frozen=True)
class TACConfig:
    """Transform-average-concatenate across the channels (Luo et al. 2020, arXiv 1910.14104).

    Args:
        factor: width of its hidden layers over N.
        activation: "prelu" or "tanh".
    """

    factor: int = 3
    activation: str = "prelu"


@dataclass(frozen=True)
class AttentionConfig:
    """Multi-head self-attention over frames (TF-GridNet, arXiv 2211.12433).

    Args:
        heads: number of heads; must divide N.
        width: features per band in a head's queries and keys.
    """

    heads: int = 2
    width: int = 16


class BandSequence(nn.Module):
    """One module: along time, then across bands, then, where there are such, across channels and over the frames.

    Args:
        time: along the first axis of (T, K, M, N) → the same.
        band: along the first axis of (K, T, M, N) → the same.
        tac: across the channels, or None.
        attention: over the frames, or None.

    Shapes:
        (K, T, M, N) → (K, T, M, N), M = B · C with the channels of one item side by side.
    """

    def __init__(
        self, time: nn.Module, band: nn.Module, tac: nn.Module | None = None, attention: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.time, self.band, self.tac, self.attention = time, band, tac, attention

    def forward(self, x: Tensor, channels: int) -> Tensor:
        x = self.time(x.transpose(0, 1)).transpose(0, 1)
        x = self.band(x)
        if self.tac is not None:
            x = self.tac(x, channels)
        return x if self.attention is None else self.attention(x)


class ResidualRNN(nn.Module):
    """Group normalisation → bidirectional RNN along the first axis → fully connected layer → residual connection.

    Args:
        features: N.
        hidden: size of the RNN in each direction.
        rnn: "lstm" or "gru".
        dropout: probability before the fully connected layer.
        eps: of the normalisation.

    Shapes:
        (steps, A, M, N) → (steps, A, M, N).
    """

    def __init__(self, features: int, hidden: int, rnn: str = "lstm", dropout: float = 0.0, eps: float = EPS) -> None:
        super().__init__()
        kinds = {"lstm": nn.LSTM, "gru": nn.GRU}
        if rnn not in kinds:
            raise ValueError(f"`rnn` (={rnn!r}) must be one of {sorted(kinds)}")
        self.norm = nn.GroupNorm(1, features, eps)
        self.rnn = kinds[rnn](features, hidden, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.fc = Linear(2 * hidden, features)

    def forward(self, x: Tensor) -> Tensor:
        hidden, _ = self.rnn(for_products(self.normalise(x)).flatten(1, 2))
        return x + self.fc(self.dropout(hidden)).unflatten(1, x.shape[1:3])

    def normalise(self, x: Tensor) -> Tensor:
        """Each sequence (steps, N) over its steps and features."""
        return group_norm(x, 0, self.norm.weight, self.norm.bias, self.norm.eps)


class TAC(nn.Module):
    """Lets the channels of one item see each other: their mean, transformed, is given back to each of them.

    Shapes:
        (K, T, B · C, N) → the same.
    """

    def __init__(self, features: int, config: TACConfig) -> None:
        super().__init__()
        if config.activation not in ("prelu", "tanh"):
            raise ValueError(f"`tac.activation` (={config.activation!r}) must be 'prelu' or 'tanh'")
        hidden = config.factor * features
        self.transform = Linear(features, hidden)
        self.average = Linear(hidden, hidden)
        self.concat = Linear(2 * hidden, features)
        self.activation = PReLU() if config.activation == "prelu" else nn.Tanh()

    def forward(self, x: Tensor, channels: int) -> Tensor:
        hidden = self.activation(self.transform(x.unflatten(2, (-1, channels))))
        mean = self.activation(self.average(sum(hidden.unbind(3)) / channels))
        own, common = self.concat.weight.split(hidden.shape[-1], dim=1)  # of the two that would be concatenated
        both = linear(hidden, own) + linear(mean, common, self.concat.bias).unsqueeze(3)
        return x + self.activation(both).flatten(2, 3)


class FrameAttention(nn.Module):
    """Self-attention over the frames, each frame seen through all of its bands, with a residual connection.

    Shapes:
        (K, T, M, N) → the same.
    """

    def __init__(self, features: int, bands: int, config: AttentionConfig, eps: float = EPS) -> None:
        super().__init__()
        if features % config.heads:
            raise ValueError(f"`features` (={features}) must be divisible by `attention.heads` (={config.heads})")
        self.heads = config.heads
        self.query = HeadProjection(features, config.width, config.heads, bands, eps)
        self.key = HeadProjection(features, config.width, config.heads, bands, eps)
        self.value = HeadProjection(features, features // config.heads, config.heads, bands, eps)
        self.out = HeadProjection(features, features, 1, bands, eps)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = self.query(x), self.key(x), self.value(x)
        scores = queries @ keys.mT / math.sqrt(queries.shape[-1])
        attended = scores.softmax(-1).to(values.dtype) @ values
        attended = attended.unflatten(3, (len(x), -1)).permute(3, 2, 0, 1, 4).flatten(3)
        out = self.out(attended).squeeze(1).unflatten(2, (len(x), -1))
        return x + out.permute(2, 1, 0, 3)


class HeadProjection(nn.Module):
    """Linear → PReLU (one slope per head) → layer norm over a frame's bands and a head's features.

    Shapes:
        (K, T, M, N) → (M, heads, T, K · width): a frame's bands are one vector.
    """

    def __init__(self, features: int, width: int, heads: int, bands: int, eps: float = EPS) -> None:
        super().__init__()
        self.eps = eps
        self.linear = Linear(features, heads * width)
        self.slope = nn.Parameter(torch.full((heads, 1), 0.25))
        self.norm_weight = nn.Parameter(torch.ones(bands, heads, width))
        self.norm_bias = nn.Parameter(torch.zeros(bands, heads, width))

    def forward(self, x: Tensor) -> Tensor:
        heads, width = self.norm_weight.shape[1:]
        slopes = self.slope.expand(heads, width).flatten()  # PReLU is many times faster with one for each feature
        projected = F.prelu(self.linear(x).float().flatten(0, 2), slopes).view(*x.shape[:3], heads, width)
        vectors = projected.permute(2, 3, 1, 0, 4).flatten(3)
        weight, bias = (p.transpose(0, 1).flatten(1).unsqueeze(1) for p in (self.norm_weight, self.norm_bias))
        return torch.addcmul(bias, F.layer_norm(vectors, vectors.shape[3:], eps=self.eps), weight)
