"""Hyper-connections (Zhu et al. 2024, arXiv 2409.19606), kept on a manifold (Xie et al. 2025, arXiv 2512.24880)."""

import torch
from torch import Tensor, nn

from demixer.model.modules.normalisation import RMSNorm, unit_rms


class HyperConnection(nn.Module):
    """Several residual streams around a layer: at each position they say what it hears, and how they are mixed.

    Each stream's features may be in several fractions (Zhu et al. 2025, arXiv 2503.14125), which are mixed, too: as
    the package hyper-connections 0.4.11 computes it, where the mixtures of fractions are not square.

    Args:
        features: N of a stream.
        streams: S.
        fractions: F; must divide N.
        iterations: of Sinkhorn and Knopp, towards a mixture whose rows and columns add up to 1.
        heard: the stream that the layer hears at first.

    Raises:
        ValueError: the fractions do not divide the features.
    """

    def __init__(self, features: int, streams: int, fractions: int = 1, iterations: int = 2, heard: int = 0) -> None:
        super().__init__()
        if features % fractions:
            raise ValueError(f"`features` (={features}) must be divisible by `fractions` (={fractions})")
        self.streams, self.fractions, self.iterations = streams, fractions, iterations
        rows, width = streams * fractions, features // fractions
        one_stream = torch.zeros(rows, fractions)
        one_stream[heard % streams] = 1
        self.norm = RMSNorm(width)
        self.mix = nn.Parameter(torch.cat([one_stream, torch.eye(rows)], dim=1))
        self.mix_weight = nn.Parameter(torch.zeros(width, fractions + rows))
        self.heard_scale, self.kept_scale = nn.Parameter(torch.full((1,), 0.01)), nn.Parameter(torch.full((1,), 0.01))
        self.add = nn.Parameter(torch.ones(rows))
        self.add_weight = nn.Parameter(torch.zeros(width, fractions))
        self.add_scale = nn.Parameter(torch.tensor(0.01))

    def hear(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the layer hears, the streams without what it adds, and how they take that.

        Args:
            x: (…, S · N) in single precision.

        Returns:
            (…, N), (…, F, S, N / F) and (…, F, S, F).
        """
        streams, fractions = self.streams, self.fractions
        rows = x.unflatten(-1, (streams, fractions, -1)).transpose(-3, -2)  # (…, F, S, N / F)
        weight = torch.cat([self.mix_weight, self.add_weight], dim=1) * self.norm.weight.unsqueeze(1)
        mix, add = (unit_rms(rows) @ weight).split([self.mix.shape[1], fractions], dim=-1)
        scale = torch.cat([self.heard_scale.expand(fractions), self.kept_scale.expand(len(self.mix))])
        mix = mix * scale + self.mix.unflatten(0, (fractions, streams))
        mix = torch.cat([mix[..., :1].sigmoid(), doubly_stochastic(mix[..., 1:], self.iterations)], dim=-1)
        both = mix.flatten(-3, -2).mT @ rows.flatten(-3, -2)  # (…, F · (1 + S), N / F)
        both = both.unflatten(-2, (fractions, 1 + streams))
        add = 2 * (add * self.add_scale + self.add.unflatten(0, (streams, fractions))).sigmoid()
        return both[..., 0, :].flatten(-2), both[..., 1:, :], add

    def take(self, kept: Tensor, add: Tensor, added: Tensor) -> Tensor:
        """The streams (…, S · N) after a layer gave ``added`` (…, N)."""
        parts = added.to(kept.dtype).unflatten(-1, (self.fractions, -1))  # (…, F, N / F)
        own = (add.flatten(-2).mT @ parts).unflatten(-2, (self.streams, self.fractions))
        return (kept.transpose(-3, -2) + own).flatten(-3)


def rows_as_streams(x: Tensor, streams: int) -> Tensor:
    """Which rows meet in a connection: not the streams of one sequence, but neighbours among all streams' sequences.

    So it is in the released RoFormers, whose layers along an axis count the streams among the sequences, all of one
    stream first, and whose connections count all streams of a sequence first; trained weights expect it.

    Args:
        x: (steps, A, M, S · N).
        streams: S.

    Returns:
        Of the same shape.
    """
    return _recounted(x.unflatten(-1, (streams, -1)).permute(0, 2, 3, 1, 4)).permute(0, 2, 1, 3, 4).flatten(-2)


def streams_as_rows(x: Tensor, streams: int) -> Tensor:
    """The inverse of :func:`rows_as_streams`."""
    return _recounted(x.unflatten(-1, (streams, -1)).permute(0, 2, 1, 3, 4)).permute(0, 3, 1, 2, 4).flatten(-2)


def _recounted(x: Tensor) -> Tensor:
    """(steps, M, a, b, N) → (steps, M, b, a, N): the rows in the same order, counted otherwise."""
    return x.flatten(2, 3).unflatten(2, (x.shape[3], x.shape[2]))


def doubly_stochastic(logarithms: Tensor, iterations: int) -> Tensor:
    """Matrices (…, rows, columns) whose rows add up to 1, and, where they are square, nearly their columns, too."""
    x = (logarithms - logarithms.amax(-2, keepdim=True)).exp()
    for _ in range(iterations):
        x = x / x.sum(-2, keepdim=True).clamp_min(1e-12)
        x = x / x.sum(-1, keepdim=True).clamp_min(1e-12)
    return x
