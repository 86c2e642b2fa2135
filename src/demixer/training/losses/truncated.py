"""Training that passes over what it cannot learn: stems that hold another instrument."""

import torch
from torch import Tensor, nn

from demixer.errors import UserError
from demixer.model.separation_network import SeparationNetwork
from demixer.training.losses.terms import Loss


class TruncatedLoss(nn.Module):
    """Another loss, without the items whose error of a target is above a quantile of this target's last ones.

    A stem with bleeding or with a wrong label is one that the network "gets wrong" by what the network has learnt
    from all others; the noise-robust training of the Sound Demixing Challenge 2023 (Kim, Lee & Jung, arXiv 2306.09382;
    Fabbro et al., arXiv 2308.06979) leaves the batch's highest losses out of the mean. Its batches were large. In one
    of two or four crops a quantile is its maximum, and every step would lose a quarter of its crops, good or bad; so
    the quantile is that of the last ``memory`` items of the same target. Until these have been seen nothing is left
    out: in the beginning a high loss means that nothing has been learnt yet. Wrap a loss that loudness does not rule
    (``loss=equal_loudness``, ``relative_rms``), or it is loud crops that are left out.

    The memory is part of the module's state, and of checkpoints: a resumed run leaves out what the uninterrupted one
    would have. With several processes they share it.

    Args:
        loss: what is truncated.
        quantile: share of the items that is kept, above 0 and at most 1; the highest 1 − ``quantile`` are left out.
        memory: how many items of each target it is estimated from.

    Raises:
        UserError: an argument is out of its range.
    """

    def __init__(self, loss: Loss, quantile: float = 0.95, memory: int = 200) -> None:
        super().__init__()
        if not 0 < quantile <= 1:
            raise UserError(f"`loss.quantile` (={quantile}) must be above 0 and at most 1")
        if memory < 1:
            raise UserError(f"`loss.memory` (={memory}) must be at least 1")
        self.loss, self.quantile, self.memory = loss, quantile, memory
        self._recent: Tensor | None = None  # (items, S), the newest last

    def forward(self, network: SeparationNetwork, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """As :meth:`Loss.__call__`, the means being over what is kept; zero where nothing is."""
        terms = self.loss.terms(network, mixture, targets)
        kept = self._kept(sum(terms.values()).detach().float())
        # chosen, not multiplied: what is left out may be infinite
        return {name: torch.where(kept, term, 0).sum() / kept.sum().clamp_min(1) for name, term in terms.items()}

    def _kept(self, losses: Tensor) -> Tensor:
        """Which of the losses (B, S) are not above their target's quantile so far; all, while too few are known."""
        known, self._recent = self._recent, self._remembered(losses)
        if known is None or len(known) < self.memory:
            return torch.ones_like(losses, dtype=torch.bool)
        return ~(losses > known.to(losses.device).quantile(self.quantile, dim=0))  # keeps NaN, which must be heard of

    def _remembered(self, losses: Tensor) -> Tensor:
        losses = losses.nan_to_num(nan=torch.finfo(losses.dtype).max)  # no number is the highest of all: no quantile is
        everyone = [losses]
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            everyone = [torch.empty_like(losses) for _ in range(torch.distributed.get_world_size())]
            torch.distributed.all_gather(everyone, losses.contiguous())
        before = [] if self._recent is None else [self._recent.to(losses.device)]
        return torch.cat([*before, *everyone])[-self.memory :]

    def get_extra_state(self) -> Tensor:
        """The memory (items, S); not a buffer, since it grows, and since the weights' average must not touch it."""
        return torch.empty(0, 0) if self._recent is None else self._recent.cpu()

    def set_extra_state(self, state: Tensor) -> None:
        """Remember again what :meth:`get_extra_state` gave."""
        self._recent = state if len(state) else None
