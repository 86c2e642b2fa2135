"""One model after another: a stem of the first is the mixture of the second."""

from collections.abc import Collection, Iterable, Iterator
from itertools import tee
from typing import Self

import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.separation.separator import Separator
from demixer.separation.streams import in_step
from demixer.separation.waveforms import WaveformSeparator

REST = "rest"


class ChainedSeparator(WaveformSeparator):
    """Takes a stem of one separator apart with another one.

    In the place of the stem stand its parts, ``{stem}_{target}`` for each target of the second separator, and
    ``{stem}_rest``, what they leave of the stem: so that the parts add up to the stem, whatever the second one misses,
    and all stems together are as complete as without it.

    Args:
        separator: separates the mixture.
        stem: the target of it that is taken apart.
        then: separates the stem, at its own rate if that is another one.

    Raises:
        UserError: there is no such target, or two stems would have one name.
    """

    def __init__(self, separator: WaveformSeparator, stem: str, then: WaveformSeparator) -> None:
        if stem not in separator.targets:
            raise UserError(f"`--then` (={stem}=…): there is no stem {stem}, but {', '.join(separator.targets)}")
        if REST in then.targets:
            raise UserError(f"`--then` (={stem}=…): its model has a target {REST}, as what it leaves is called")
        self.separator, self.stem, self.then = separator, stem, then
        self.sample_rate_hz = separator.sample_rate_hz
        self._parts = tuple(f"{stem}_{part}" for part in (*then.targets, REST))
        place = separator.targets.index(stem)
        self.targets = (*separator.targets[:place], *self._parts, *separator.targets[place + 1 :])
        if len({*self.targets}) < len(self.targets):
            raise UserError(f"`--then` (={stem}=…): two stems would have one name among {', '.join(self.targets)}")

    def only(self, targets: Collection[str]) -> WaveformSeparator:
        self.places_of(targets)
        parts = [part.removeprefix(f"{self.stem}_") for part in self._parts if part in targets]
        others = [target for target in self.separator.targets if target != self.stem and target in targets]
        if not parts:
            return self.separator.only(others)
        then = self.then if REST in parts else self.then.only(parts)  # what is left takes all parts to know
        chained = type(self)(self.separator.only([*others, self.stem]), self.stem, then)
        return _Some(chained, targets)

    def leaves(self) -> list[Separator]:
        """See :class:`WaveformSeparator`."""
        return [*self.separator.leaves(), *self.then.leaves()]

    def stream(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        place = self.separator.targets.index(self.stem)
        firsts, stems = tee(self.separator.stream(blocks))
        parts = self.then.stream_at(self.sample_rate_hz, (estimates[place] for estimates in stems))
        for estimates, own in in_step(firsts, parts):  # the first is as long as the blocks
            rest = estimates[place, None] - own.sum(0, keepdim=True)
            yield torch.cat([estimates[:place], own, rest, estimates[place + 1 :]])


class _Some(WaveformSeparator):
    """Some of a separator's targets, which computes no more than it must already."""

    def __init__(self, separator: WaveformSeparator, targets: Collection[str]) -> None:
        self.separator, self.sample_rate_hz = separator, separator.sample_rate_hz
        self._kept = separator.places_of(targets)
        self.targets = tuple(separator.targets[place] for place in self._kept)

    def only(self, targets: Collection[str]) -> Self:
        self.places_of(targets)
        return self.separator.only(targets)

    def leaves(self) -> list[Separator]:
        """See :class:`WaveformSeparator`."""
        return self.separator.leaves()

    def stream(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        for estimates in self.separator.stream(blocks):
            yield estimates[self._kept]
