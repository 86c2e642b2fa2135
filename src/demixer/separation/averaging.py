"""Several models as one: each target is the weighted mean of the models that have it."""

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import tee
from typing import Self

import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.separation.separator import Separator
from demixer.separation.streams import in_step
from demixer.separation.waveforms import WaveformSeparator


class AveragedSeparator(WaveformSeparator):
    """The weighted mean of several separators' estimates; models err differently, so that part of it cancels out.

    The targets are those of all: one that only some have is the mean of these. The rate is the first one's; the
    mixture is resampled for those of another, and their estimates back.

    Args:
        separators: what is averaged; they compute one after the other, at the same pace.
        weights: one for each, above 0; only their ratio counts. None: all alike.

    Raises:
        UserError: there are not as many weights as separators, or one is not above 0.
    """

    def __init__(self, separators: Sequence[WaveformSeparator], weights: Sequence[float] | None = None) -> None:
        self.separators = list(separators)
        self.weights = [1.0] * len(self.separators) if weights is None else list(weights)
        if len(self.weights) != len(self.separators):
            raise UserError(f"`--weights` ({len(self.weights)}) must be as many as the models ({len(self.separators)})")
        wrong = [weight for weight in self.weights if not 0 < weight < math.inf]
        if wrong:
            raise UserError(f"`--weights` (={wrong[0]:g}) must be above 0")
        self.targets = tuple(dict.fromkeys(target for separator in separators for target in separator.targets))
        self.sample_rate_hz = self.separators[0].sample_rate_hz

    def only(self, targets: Collection[str]) -> Self:
        self.places_of(targets)
        kept = [
            (separator.only({*targets} & {*separator.targets}), weight)
            for separator, weight in zip(self.separators, self.weights, strict=True)
            if {*targets} & {*separator.targets}
        ]
        return type(self)(*zip(*kept, strict=True))

    def leaves(self) -> list[Separator]:
        """See :class:`WaveformSeparator`."""
        return [leaf for separator in self.separators for leaf in separator.leaves()]

    def stream(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        mix = self._mixing_matrix()
        copies = tee(blocks, len(self.separators))
        pairs = zip(self.separators, copies, strict=True)
        streams = [separator.stream_at(self.sample_rate_hz, copy) for separator, copy in pairs]
        for estimates in in_step(*streams):  # the first, whose rate it is, is as long as the blocks
            yield torch.einsum("ts,scl->tcl", mix, torch.cat(estimates))

    def _mixing_matrix(self) -> Tensor:
        """(targets, all estimates of all separators): rows add up to 1."""
        owners = [
            (target, weight)
            for separator, weight in zip(self.separators, self.weights, strict=True)
            for target in separator.targets
        ]
        rows = [[weight * (target == own) for own, weight in owners] for target in self.targets]
        matrix = torch.tensor(rows, dtype=torch.float64)
        return (matrix / matrix.sum(1, keepdim=True)).float()
