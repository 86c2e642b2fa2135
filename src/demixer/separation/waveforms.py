"""What all separators have in common: they stream, and so they take whole waveforms at any rate."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from demixer.audio import resample_blocks
from demixer.errors import UserError
from demixer.separation.checks import check_rate, check_waveform

if TYPE_CHECKING:
    from demixer.separation.separator import Separator

Waveform = Tensor | np.ndarray
Progress = Callable[[float], object]


class WaveformSeparator(ABC):
    """Separates signals of any length, as a stream or at once.

    Attributes:
        targets: names of the S stems.
        sample_rate_hz: sample rate of its streams.
    """

    targets: tuple[str, ...]
    sample_rate_hz: int

    @abstractmethod
    def stream(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Separate a stream at the separator's own rate.

        Args:
            blocks: (C, any length) each, consecutive parts of one signal.

        Yields:
            (S, C, any length) each on the CPU, together as long as the blocks together.
        """

    @abstractmethod
    def only(self, targets: Collection[str]) -> Self:
        """A separator for some of the targets, in this one's order: what only the others need is not computed.

        Raises:
            UserError: there is no such target.
        """

    @abstractmethod
    def leaves(self) -> list["Separator"]:
        """The separators with a network of their own that this one is made of, in their order."""

    def __call__(
        self, waveform: Waveform, sample_rate_hz: int | None = None, progress: Progress | None = None
    ) -> dict[str, Waveform]:
        """Separate a waveform (C, L); stems have its length, level and sample rate.

        Args:
            waveform: (C, L) floating-point samples in ±1, C = 1 or 2, as a tensor or a numpy array.
            sample_rate_hz: of the waveform; None means the separator's own.
            progress: is told, again and again, the share that is done, from 0 to 1. What it raises ends the
                separation and reaches the caller: so it is cancelled.

        Returns:
            {target: (C, L)} in float32: arrays where the waveform is one, else tensors on the CPU.

        Raises:
            ValueError: the waveform or its rate cannot be separated; the message says why.
        """
        samples = check_waveform(waveform)
        rate_hz = self.sample_rate_hz if sample_rate_hz is None else check_rate(sample_rate_hz)
        channels, length = samples.shape
        parts, done = [torch.zeros(len(self.targets), channels, 0)], 0
        for part in self.stream_at(rate_hz, [samples] if length else []):
            parts.append(part)
            done += part.shape[-1]
            if progress is not None:
                progress(min(1.0, done / length))
        stems = torch.cat(parts, dim=-1)[..., :length]
        return dict(zip(self.targets, stems.numpy() if isinstance(waveform, np.ndarray) else stems, strict=True))

    def stream_at(self, sample_rate_hz: int, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Separate a stream at another rate, to which the stems return.

        Yields:
            (S, C, any length) each; together as long as the blocks together, or a few samples longer.
        """
        own_rate = resample_blocks(blocks, sample_rate_hz, self.sample_rate_hz)
        yield from resample_blocks(self.stream(own_rate), self.sample_rate_hz, sample_rate_hz)

    def places_of(self, targets: Collection[str]) -> list[int]:
        """Where some of the targets stand, in this separator's order."""
        if not targets or set(targets) - set(self.targets):
            raise UserError(f"`targets` (={list(targets)}) must be some of {', '.join(self.targets)}")
        return [place for place, target in enumerate(self.targets) if target in targets]
