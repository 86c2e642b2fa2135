"""Cut a stream into overlapping windows, apply a function, cross-fade the results: any length, bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor

FADES = {
    # Each is positive everywhere, so that their sum is never zero whatever the hop.
    "triangle": lambda n: 1 - (torch.arange(n) - (n - 1) / 2).abs() * 2 / (n + 1),
    "hann": lambda n: torch.hann_window(n + 2, periodic=False)[1:-1].clamp_min(1e-4),
    "rectangle": lambda n: torch.ones(n),
}


def overlap_add(
    blocks: Iterable[Tensor],
    apply: Callable[[Tensor], Tensor],
    window_samples: int,
    hop_samples: int,
    batch_size: int = 1,
    fade: str = "triangle",
) -> Iterator[Tensor]:
    """Apply a function to overlapping windows of a stream and give the cross-faded results as a stream.

    Windows stand at multiples of the hop, and one at the very end of the signal; every sample is the mean of the
    windows over it, weighted by the fade, so that an identity gives the signal back at any hop. A signal shorter than
    a window is one window, as short as it is. What is computed depends on the signal's length, never on the blocks.

    Args:
        blocks: (C, any length) each, consecutive parts of the signal.
        apply: (B, C, window) → (B, S, C, window).
        window_samples: length of a window.
        hop_samples: distance of two windows, 1 … window_samples.
        batch_size: windows handed to ``apply`` at once.
        fade: weight over the window: "triangle", "hann" or "rectangle".

    Yields:
        (S, C, any length) each; together as long as the blocks together.

    Raises:
        ValueError: the hop or the fade is impossible.
    """
    if not 1 <= hop_samples <= window_samples:
        raise ValueError(f"`hop_samples` (={hop_samples}) must lie in 1 … `window_samples` (={window_samples})")
    if fade not in FADES:
        raise ValueError(f"`fade` (={fade!r}) must be one of {sorted(FADES)}")
    mean = _CrossFade(FADES[fade])
    for starts, windows in _batches(_windows(blocks, window_samples, hop_samples), batch_size):
        for start, estimate in zip(starts, apply(windows), strict=True):
            yield from mean.add(start, estimate)
    yield from mean.pop()


def _windows(blocks: Iterable[Tensor], window: int, hop: int) -> Iterator[tuple[int, Tensor]]:
    """Each window with its start: at every multiple of the hop that leaves it whole, then at the end of the signal."""
    held: list[Tensor] = []  # the signal from `origin`, the start of the latest window, on
    origin = length = upcoming = 0
    for block in blocks:
        held.append(block)
        length += block.shape[-1]
        if length < upcoming + window:
            continue
        signal, first = torch.cat(held, dim=-1), origin
        while length >= upcoming + window:
            yield upcoming, signal[:, upcoming - first : upcoming - first + window]
            origin, upcoming = upcoming, upcoming + hop
        held = [signal[:, origin - first :]]
    if length < window and length:
        yield 0, torch.cat(held, dim=-1)
    elif length > origin + window:
        yield length - window, torch.cat(held, dim=-1)[:, -window:]


def _batches(windows: Iterator[tuple[int, Tensor]], size: int) -> Iterator[tuple[list[int], Tensor]]:
    """Stack windows: (starts, (up to size, C, window))."""
    while batch := list(islice(windows, size)):
        yield [start for start, _ in batch], torch.stack([samples for _, samples in batch])


class _CrossFade:
    """The running weighted mean of overlapping windows; what no later window can touch is given out."""

    def __init__(self, fade: Callable[[int], Tensor]) -> None:
        self.fade = fade
        self.origin = 0
        self.total: Tensor | None = None  # (S, C, n) weighted sum from `origin` on
        self.weight = torch.zeros(0)

    def add(self, start: int, estimate: Tensor) -> Iterator[Tensor]:
        """Add a window (S, C, L); give the samples before it, since windows come in the order of their starts."""
        yield from self.pop(start - self.origin)
        length = estimate.shape[-1]
        if self.total is None:
            self.total = estimate.new_zeros(*estimate.shape[:-1], 0)
        grown = length - self.total.shape[-1]
        self.total = F.pad(self.total, (0, grown))
        fade = self.fade(length).to(estimate.device)
        self.weight = F.pad(self.weight.to(estimate.device), (0, grown)) + fade
        self.total += fade * estimate

    def pop(self, samples: int | None = None) -> Iterator[Tensor]:
        """Give out the first samples, or all that are left."""
        if self.total is None or samples == 0:
            return
        yield (self.total[..., :samples] / self.weight[:samples])
        self.origin += samples or 0
        self.total, self.weight = self.total[..., samples:], self.weight[samples:]
