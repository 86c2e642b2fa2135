"""The modules of a live network: those of the others, but each goes on from a state, and none knows the future."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from demixer.model.live.normalisation import CausalNorm
from demixer.model.live.state import State
from demixer.model.modules.band_sequence import TAC, ResidualRNN
from demixer.model.modules.band_split import BandSplit
from demixer.model.modules.bands import BandTable
from demixer.model.modules.mask_estimation import MaskEstimation
from demixer.model.modules.normalisation import for_products
from demixer.model.modules.products import Linear


class LiveBandSplit(BandSplit):
    """A causal norm and a fully connected layer per band, or one module that stands for all of these layers.

    Shapes:
        (T, M, F, 2) → (K, T, M, N); the state is the norm's.
    """

    def __init__(self, table: BandTable, features: int, norm: CausalNorm) -> None:
        super().__init__(table, features)
        self.norm = norm
        # not on the meta device, where settings are checked against weights and a comparison has no result
        bands, widths = (torch.tensor(x, device="cpu") for x in (range(len(table.widths)), table.widths))
        band_of_bin = torch.tensor([k for k, width in enumerate(table.widths) for _ in range(width)], device="cpu")
        self.register_buffer("band_of_bin", band_of_bin, persistent=False)
        # (F, K): multiplied with, it takes the means over the bands
        self.register_buffer("shares", (band_of_bin.unsqueeze(1) == bands) / (2 * widths), persistent=False)
        self.joint: nn.Module | None = None

    def initial_state(self, rows: int, device: torch.device | None = None) -> State:
        return self.norm.initial_state(len(self.table.widths), rows, device)

    def forward(self, spectrum: Tensor, state: State) -> tuple[Tensor, State]:
        powers = spectrum.square().sum(-1) @ self.shares  # (T, M, K)
        factors, state = self.norm(powers.permute(2, 0, 1), state)
        if self.joint is not None:
            return self.joint(spectrum, factors), state
        levelled = spectrum * factors.permute(1, 2, 0).index_select(2, self.band_of_bin).unsqueeze(3)
        parts = self.table.split(levelled.flatten(0, 1))
        features = [
            project(part.unflatten(1, spectrum.shape[:2]))
            for project, part in zip(self.projections, parts, strict=True)
        ]
        return self.table.join_bands(features), state


class LiveRNN(nn.Module):
    """Causal norm → RNN forwards in time → fully connected layer → residual connection.

    Args:
        features: N.
        hidden: size of the RNN.
        norm: of the RNN's input, with a gain and an offset per feature here.
        rnn: "lstm" or "gru".
        dropout: probability before the fully connected layer.

    Shapes:
        (K, T, M, N) → the same; the state is the norm's, and the RNN's ``hidden`` (K · M, hidden) and ``cell``.

    Raises:
        ValueError: ``rnn`` is unknown.
    """

    def __init__(self, features: int, hidden: int, norm: CausalNorm, rnn: str = "lstm", dropout: float = 0.0) -> None:
        super().__init__()
        kinds = {"lstm": nn.LSTM, "gru": nn.GRU}
        if rnn not in kinds:
            raise ValueError(f"`rnn` (={rnn!r}) must be one of {sorted(kinds)}")
        self.norm = norm
        self.gain, self.offset = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))
        self.rnn = kinds[rnn](features, hidden)
        self.kept = ("hidden", "cell") if rnn == "lstm" else ("hidden",)  # what it hands on from frame to frame
        self.dropout = nn.Dropout(dropout)
        self.fc = Linear(hidden, features)

    def initial_state(self, bands: int, rows: int, device: torch.device | None = None) -> State:
        size = bands * rows, self.rnn.hidden_size
        return self.norm.initial_state(bands, rows, device) | {
            name: torch.zeros(size, device=device) for name in self.kept
        }

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        factors, after = self.norm(power(x), state)
        levelled = x * factors.unsqueeze(3)
        if self.gain is not None:  # else it is in the RNN's weights
            levelled = torch.addcmul(self.offset, levelled, self.gain)
        steps = for_products(levelled.transpose(0, 1)).flatten(1, 2)  # (T, K · M, N)
        own = [state[name].to(steps.dtype).unsqueeze(0) for name in self.kept]
        hidden, own = self.rnn(steps, tuple(own) if len(own) == 2 else own[0])
        own = own if isinstance(own, tuple) else (own,)
        after |= {name: value.squeeze(0).float() for name, value in zip(self.kept, own, strict=True)}
        return x + self.fc(self.dropout(hidden)).unflatten(1, (len(x), -1)).transpose(0, 1), after


class LiveSequence(nn.Module):
    """One module: along time, then across the bands of each frame, then, where there is such, across the channels.

    Shapes:
        (K, T, M, N) → the same, M = B · C with the channels of one item side by side; the state is that of ``time``.
    """

    def __init__(self, time: LiveRNN, band: ResidualRNN, tac: TAC | None = None) -> None:
        super().__init__()
        self.time, self.band, self.tac = time, band, tac

    def forward(self, x: Tensor, channels: int, state: State) -> tuple[Tensor, State]:
        x, state = self.time(x, state)
        x = self.band(x)
        return x if self.tac is None else self.tac(x, channels), state


class LiveMaskEstimation(MaskEstimation):
    """A causal norm, which the targets share, then each target's estimator, or one that stands for all of them.

    Shapes:
        (K, T, M, N) → (S, T, M, F, 2); the state is the norm's.
    """

    def __init__(self, estimators: Iterable[nn.Module], norm: CausalNorm) -> None:
        super().__init__(estimators)
        self.norm = norm
        self.joint: nn.Module | None = None

    def forward(self, features: Tensor, state: State) -> tuple[Tensor, State]:
        factors, state = self.norm(power(features), state)
        levelled = for_products(features * factors.unsqueeze(3))
        if self.joint is not None:
            return self.joint(levelled), state
        return torch.stack([estimate(levelled) for estimate in self.estimators]), state


def power(x: Tensor) -> Tensor:
    """The mean square of each vector of features: (…, N) → (…)."""
    return torch.linalg.vector_norm(x, dim=-1).square() / x.shape[-1]
