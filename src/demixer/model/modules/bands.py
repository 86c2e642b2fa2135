"""Which bins belong to which band, and how bands of equal width are computed together."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn


def band_widths_bins(
    bands_hz: Sequence[tuple[float, float]], n_fft: int, sample_rate_hz: int, edges: str = "nominal"
) -> list[int]:
    """The width of every band in bins, low to high; together they tile all n_fft / 2 + 1 bins exactly once.

    Args:
        bands_hz: rows (up_to_hz, width_hz): bands of that width up to that frequency; what is left up to half the
            sample rate is one more band.
        n_fft: length of the Fourier transform.
        sample_rate_hz: sample rate of the waveform in Hz.
        edges: "nominal" puts each edge at the first bin at or above its frequency, so that no edge is off by more
            than one bin. "whole_bins" rounds every *width* down to whole bins (magronp/bsrnn, whose checkpoints need
            it), so that the edges drift downwards.

    Raises:
        ValueError: a band would hold no bin, or the table is not ascending or exceeds half the sample rate.

    >>> band_widths_bins([(1000, 500), (4000, 1000)], n_fft=64, sample_rate_hz=16000)
    [2, 2, 4, 4, 4, 17]
    """
    bins = n_fft // 2 + 1
    counted, low_hz = [], 0.0
    for up_to_hz, width_hz in bands_hz:
        count = (up_to_hz - low_hz) / width_hz
        if count > bins:  # before there is a list of them
            raise ValueError(f"`bands_hz` row ({up_to_hz}, {width_hz}) makes {count:.0f} bands of {bins} bins")
        if count <= 0 or abs(count - round(count)) > 1e-6 or up_to_hz > sample_rate_hz / 2:
            raise ValueError(f"`bands_hz` row ({up_to_hz}, {width_hz}) must continue from {low_hz} Hz in whole bands")
        counted.append((round(count), width_hz))
        low_hz = up_to_hz
    if edges == "whole_bins":
        widths = [int(width_hz * bins // (sample_rate_hz / 2)) for count, width_hz in counted for _ in range(count)]
    elif edges == "nominal":
        uppers_hz = accumulate(width_hz for count, width_hz in counted for _ in range(count))
        ends = [-int(-upper_hz * n_fft // sample_rate_hz) for upper_hz in uppers_hz]
        widths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
    else:
        raise ValueError(f"`edges` (={edges!r}) must be 'nominal' or 'whole_bins'")
    widths.append(bins - sum(widths))
    if min(widths) < 1:
        raise ValueError(f"`bands_hz` leaves a band without a bin at `n_fft` (={n_fft}): widths {widths}")
    return widths


@dataclass(frozen=True)
class BandGroup:
    """G bands of one width (in bins), as they are computed in one batched product."""

    width: int
    bands: tuple[int, ...]
    first_bins: tuple[int, ...]

    @property
    def bins(self) -> list[int]:
        """Every bin of the group, band by band."""
        return [first + i for first in self.first_bins for i in range(self.width)]

    @property
    def contiguous(self) -> bool:
        return self.bins == list(range(self.bins[0], self.bins[0] + len(self.bins)))


class BandTable(nn.Module):
    r"""The split of F bins into K bands, grouped by width. Holds index buffers only, no parameters.

    Args:
        widths: each band's width in bins, low to high.
        first_bins: each band's first bin, where bands overlap; None: they tile the bins.

    Attributes:
        groups: the :class:`BandGroup`\ s; their concatenation holds each band once.
        bins: F.
    """

    def __init__(self, widths: Sequence[int], first_bins: Sequence[int] | None = None) -> None:
        super().__init__()
        self.widths = tuple(widths)
        self.overlapping = first_bins is not None
        first_bins = [0, *accumulate(self.widths)] if first_bins is None else first_bins
        self.groups = [
            BandGroup(
                width,
                tuple(k for k, w in enumerate(self.widths) if w == width),
                tuple(first_bins[k] for k, w in enumerate(self.widths) if w == width),
            )
            for width in dict.fromkeys(self.widths)
        ]
        self._register("band_order", [k for group in self.groups for k in group.bands])
        bins = [f for group in self.groups for f in group.bins]
        self.bins = max(bins) + 1
        self._register("bin_order", None if self.overlapping else bins)
        if self.overlapping:
            self._register_places(bins)
        for i, group in enumerate(self.groups):
            self.register_buffer(f"bins_{i}", None if group.contiguous else torch.tensor(group.bins), persistent=False)

    def _register_places(self, bins: list[int]) -> None:
        """Keep where each bin's values lie side by side, as often as a bin is in a band, and what each counts."""
        places: list[list[int]] = [[] for _ in range(max(bins) + 1)]
        for place, f in enumerate(bins):
            places[f].append(place)
        most = max(map(len, places))
        index = [[own[min(i, len(own) - 1)] for own in places] for i in range(most)]
        shares = [[1 / len(own) if i < len(own) else 0.0 for own in places] for i in range(most)]
        self.register_buffer("places", torch.tensor(index), persistent=False)
        self.register_buffer("shares", torch.tensor(shares).unsqueeze(-1), persistent=False)

    def _register(self, name: str, order: list[int] | None) -> None:
        """Keep the inverse of a permutation, or nothing where it is the identity."""
        identity = order is None or order == list(range(len(order)))
        self.register_buffer(name, None if identity else torch.tensor(order).argsort(), persistent=False)

    def split(self, spectrum: Tensor) -> list[Tensor]:
        """(M, F, P) → per group (G, M, width · P): views where the group's bins lie side by side, else copies."""
        rows = spectrum.shape[0]
        parts = []
        for i, group in enumerate(self.groups):
            index = getattr(self, f"bins_{i}")
            first, count = group.first_bins[0], len(group.bands) * group.width
            part = spectrum[:, first : first + count] if index is None else spectrum.index_select(1, index)
            parts.append(part.reshape(rows, len(group.bands), -1).transpose(0, 1))
        return parts

    def join_bands(self, parts: list[Tensor]) -> Tensor:
        """Per group (G, …) → (K, …), bands low to high."""
        joined = torch.cat(parts)
        return joined if self.band_order is None else joined.index_select(0, self.band_order)

    def pick_bands(self, bands: Tensor) -> list[Tensor]:
        """(K, …) → per group (G, …): views where the group's bands lie side by side."""
        parts = []
        for group in self.groups:
            first, count = group.bands[0], len(group.bands)
            if group.bands == tuple(range(first, first + count)):
                parts.append(bands[first : first + count])
            else:
                parts.append(bands[list(group.bands)])
        return parts

    def join_bins(self, parts: list[Tensor], values_per_bin: int) -> Tensor:
        """Per group (G, M, width · P) → (M, F, P), bins low to high: the mean of the bands where they overlap."""
        rows = parts[0].shape[1]
        joined = torch.cat([part.transpose(0, 1).reshape(rows, -1, values_per_bin) for part in parts], dim=1)
        if self.overlapping:
            pairs = zip(self.places.unbind(), self.shares.unbind(), strict=True)
            return sum(joined.index_select(1, place) * share for place, share in pairs)
        return joined if self.bin_order is None else joined.index_select(1, self.bin_order)
