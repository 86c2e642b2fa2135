"""Band-Split RNN that separates as the music plays."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from demixer.model.band_split_network import BandSplitNetwork
from demixer.model.live.modules import LiveBandSplit, LiveMaskEstimation, LiveRNN, LiveSequence
from demixer.model.live.normalisation import CausalNorm
from demixer.model.live.state import State, joined, part_of
from demixer.model.modules.band_sequence import TAC, ResidualRNN, TACConfig
from demixer.model.modules.bands import BandTable
from demixer.model.modules.mask_estimation import MaskConfig, TargetMask
from demixer.model.modules.normalisation import EPS


class LiveBandSplitRNN(BandSplitNetwork):
    """Band-Split RNN whose masks depend on this frame, those before it, and at most ``look_ahead`` after it.

    Along time its RNN runs forwards only; across the bands of a frame both ways, which costs no latency. Over any
    number of frames it computes the same function of (frames, state): in training of all frames and a state of
    nothing, in a stream of those that have come and what was before them.

    Args:
        widths: each band's width in bins.
        targets: S.
        hop_seconds: distance of two frames.
        features: N.
        repeats: R.
        rnn: "lstm" or "gru".
        rnn_factor: hidden size of each RNN direction over N.
        dropout: probability before the fully connected layers of the sequence model.
        mask: arguments of :class:`MaskConfig`.
        tac: arguments of :class:`TACConfig`, or None.
        norm: "running" or "frame", see :class:`CausalNorm`.
        norm_seconds: time constant of running norms.
        look_ahead: a frame's masks wait for so many frames after it.
        norm_eps: of all normalisations.

    Shapes:
        (B, C, F, T + look_ahead) complex → (B, S, C, F, T) complex.

    Raises:
        ValueError: ``rnn``, ``norm`` or an activation is unknown.
    """

    def __init__(
        self,
        widths: Sequence[int],
        targets: int,
        hop_seconds: float,
        features: int = 128,
        repeats: int = 12,
        rnn: str = "lstm",
        rnn_factor: int = 2,
        dropout: float = 0.0,
        mask: dict[str, Any] | None = None,
        tac: dict[str, Any] | None = None,
        norm: str = "running",
        norm_seconds: float = 1.0,
        look_ahead: int = 0,
        norm_eps: float = EPS,
    ) -> None:
        table, config = BandTable(widths), MaskConfig(**(mask or {}))
        hidden = rnn_factor * features

        def causal() -> CausalNorm:
            return CausalNorm(norm, norm_seconds / hop_seconds, norm_eps)

        def module() -> LiveSequence:
            time = LiveRNN(features, hidden, causal(), rnn, dropout)
            band = ResidualRNN(features, hidden, rnn, dropout, norm_eps)
            return LiveSequence(time, band, None if tac is None else TAC(features, TACConfig(**tac)))

        super().__init__(
            LiveBandSplit(table, features, causal()),
            [module() for _ in range(repeats)],
            LiveMaskEstimation([TargetMask(table, features, config) for _ in range(targets)], causal()),
        )
        self.look_ahead, self.bands, self.bins = look_ahead, len(widths), sum(widths)

    def initial_state(self, rows: int, device: torch.device | None = None) -> State:
        """The state before a signal, for M rows; what its tensors are stands at the modules that go on from them."""
        states = {"split": self.split.initial_state(rows, device)}
        states |= {
            f"sequence.{i}": module.time.initial_state(self.bands, rows, device)
            for i, module in enumerate(self.sequence)
        }
        states["mask"] = self.mask.norm.initial_state(self.bands, rows, device)
        if self.look_ahead:
            states["waiting"] = {"frames": torch.zeros(self.look_ahead, rows, self.bins, 2, device=device)}
        return joined(states)

    def forward(self, mixture: Tensor) -> Tensor:
        state = self.initial_state(mixture.shape[0] * mixture.shape[1], mixture.device)
        return self.step(mixture, state)[0][..., self.look_ahead :]

    def step(self, mixture: Tensor, state: State) -> tuple[Tensor, State]:
        """Go on with a signal.

        Args:
            mixture: (B, C, F, T) complex, T ≥ 1.
            state: of :meth:`initial_state`, or what the last step returned.

        Returns:
            The estimates of the frames that stood ``look_ahead`` before these (B, S, C, F, T), and the state after.
        """
        rows = torch.view_as_real(mixture.permute(3, 0, 1, 2).flatten(1, 2).contiguous())  # (T, M, F, 2)
        masks, frames, state = self.masks_of_frames(rows, mixture.shape[1], state)
        estimates = torch.view_as_complex(masks) * torch.view_as_complex(frames)  # (S, T, M, F)
        return estimates.unflatten(2, mixture.shape[:2]).permute(2, 0, 3, 4, 1), state

    def masks_of_frames(self, values: Tensor, channels: int, state: State) -> tuple[Tensor, Tensor, State]:
        """The real part of the work: masks (S, T, M, F, 2), the frames (T, M, F, 2) that they are for, the state."""
        after = {}
        with torch.autocast(values.device.type, enabled=False):  # else the song itself would be rounded to bf16
            x, after["split"] = self.split(values, part_of(state, "split"))
        again = self.checkpointing and torch.is_grad_enabled()
        for i, module in enumerate(self.sequence):
            place = f"sequence.{i}"
            arguments = x, channels, part_of(state, place)
            x, after[place] = checkpoint(module, *arguments, use_reentrant=False) if again else module(*arguments)
        masks, after["mask"] = self.mask(x, part_of(state, "mask"))
        if self.look_ahead:
            values = torch.cat([state["waiting.frames"], values])
            values, after["waiting"] = values[: -self.look_ahead], {"frames": values[-self.look_ahead :].clone()}
        return masks.float(), values.contiguous(), joined(after)
