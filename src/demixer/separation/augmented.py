"""Test-time augmentation: mirrored and inverted copies of the mixture are separated, too, undone, and averaged."""

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import cached_property
from itertools import chain, tee
from typing import Self

import torch
from torch import Tensor

from demixer.separation.separator import Separator
from demixer.separation.streams import in_step
from demixer.separation.waveforms import WaveformSeparator

Copy = Callable[[Tensor], Tensor]  # (…, C, L) → the same; applied twice, it is undone
PROBE_SECONDS = 3.0
EQUAL = 1e-3  # −60 dB
COPIES: dict[str, Copy] = {
    "inverted": lambda signal: -signal,
    "mirrored": lambda signal: signal.flip(-2),
    "mirrored and inverted": lambda signal: -signal.flip(-2),
}


class AugmentedSeparator(WaveformSeparator):
    """The mean of what a separator makes of a mixture and of its copies: left and right exchanged, polarity inverted.

    To the ear the copies are the same music, to a network they may not be, and part of its error cancels out. A
    network that treats both channels alike, as Band-Split RNN does, answers the mirrored copy with the mirrored
    answer: this is tried out on noise once, and such a copy is not computed.

    Args:
        separator: separates all the copies, one after the other, at the same pace.
    """

    def __init__(self, separator: WaveformSeparator) -> None:
        self.separator = separator
        self.targets, self.sample_rate_hz = separator.targets, separator.sample_rate_hz

    def only(self, targets: Collection[str]) -> Self:
        return type(self)(self.separator.only(targets))

    @cached_property
    def useful(self) -> tuple[str, ...]:
        """Names of the copies in stereo that the separator answers otherwise than the mixture and each other."""
        samples = round(PROBE_SECONDS * self.sample_rate_hz)
        probe = 0.1 * torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
        different, answers = [], [self._answer(probe)]
        for name, copy in COPIES.items():
            answer = copy(self._answer(copy(probe)))
            if all((answer - other).norm() > EQUAL * other.norm() for other in answers):
                different.append(name)
                answers.append(answer)
        return tuple(different)

    def leaves(self) -> list[Separator]:
        """See :class:`WaveformSeparator`."""
        return self.separator.leaves()

    def stream(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        blocks = iter(blocks)
        first = next(blocks, None)
        if first is None:
            return
        # one channel has no mirror image
        names = self.useful if len(first) == 2 else [name for name in self.useful if "mirrored" not in name]
        copies = [lambda signal: signal, *(COPIES[name] for name in names)]
        inputs = tee(chain([first], blocks), len(copies))
        streams = [self._undone(copy, own) for copy, own in zip(copies, inputs, strict=True)]
        for estimates in in_step(*streams):
            yield sum(estimates) / len(estimates)

    def _undone(self, copy: Copy, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        yield from map(copy, self.separator.stream(map(copy, blocks)))

    def _answer(self, mixture: Tensor) -> Tensor:
        """(S, 2, L)"""
        return torch.cat(list(self.separator.stream([mixture])), dim=-1)
