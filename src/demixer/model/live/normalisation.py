"""Normalisation that knows no future: over what was and is."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from demixer.model.live.state import State
from demixer.model.modules.normalisation import EPS

NORMS = ("running", "frame")


class CausalNorm(nn.Module):
    """The factor that gives a band unit power: over its running power, or over that of each frame by itself.

    The networks for whole windows divide a band by its deviation over all frames, so that a frame's loudness against
    the others remains to be seen. ``running`` keeps that with the mean over the past, which older frames fade out of;
    from the first frame on it is a true mean, since the weights that it has seen are summed, too. ``frame`` forgets
    all loudness. Means are not subtracted: what they would change, the layers' biases can.

    Args:
        kind: "running" or "frame".
        frames: time constant of the running mean: a frame so long ago counts 1/e of the present one.
        eps: what keeps silence from being divided by zero.

    Shapes:
        powers (K, T, M) → factors (K, T, M); the state is ``sums`` (2, K, M): of powers and of their weights.

    Raises:
        ValueError: ``kind`` is unknown.
    """

    def __init__(self, kind: str, frames: float, eps: float = EPS) -> None:
        super().__init__()
        if kind not in NORMS:
            raise ValueError(f"`norm` (={kind!r}) must be one of {sorted(NORMS)}")
        self.running, self.decay, self.eps = kind == "running", math.exp(-1 / frames), eps

    def initial_state(self, bands: int, rows: int, device: torch.device | None = None) -> State:
        return {"sums": torch.zeros(2, bands, rows, device=device)} if self.running else {}

    def forward(self, powers: Tensor, state: State) -> tuple[Tensor, State]:
        if not self.running:
            return torch.rsqrt(powers + self.eps), {}
        sums = fading_sums(torch.stack([powers, torch.ones_like(powers)]), state["sums"], self.decay)
        return torch.rsqrt(sums[0] / sums[1] + self.eps), {"sums": sums[:, :, -1]}


def fading_sums(x: Tensor, before: Tensor, decay: float) -> Tensor:
    """y[t] = decay · y[t - 1] + x[t] along the last dimension but one, from y[-1] = ``before`` on.

    Every pass doubles the number of frames that are summed. A product with a matrix of decays would do it at once, but
    there a frame that is no number would spoil the ones before it, zero times it being none either.

    Args:
        x: (…, T, M).
        before: (…, M).
        decay: below 1.
    """
    first = torch.add(x[..., :1, :], before.unsqueeze(-2), alpha=decay)
    if x.shape[-2] == 1:
        return first
    y, shift = torch.cat([first, x[..., 1:, :]], dim=-2), 1
    while shift < x.shape[-2]:
        y = y + decay**shift * F.pad(y[..., :-shift, :], (0, 0, shift, 0))
        shift *= 2
    return y
