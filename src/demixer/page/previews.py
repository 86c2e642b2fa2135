"""The stems as far as they are computed: small files that the mixer plays until the whole ones are there."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from demixer.audio import FORMATS
from demixer.temporary import atomic_path

SEGMENT_SECONDS = 3.0  # at least; a batch of windows may hold more
FORMAT = FORMATS["flac"]  # browsers decode it to the sample, so that segments join without a gap


@dataclass(frozen=True)
class Segment:
    """A stretch of all stems.

    Args:
        start: its first sample in the song.
        samples: its L.
        files: {stem: its file}.
    """

    start: int
    samples: int
    files: dict[str, Path]


class Previews:
    """Cuts a stream of stems into files.

    Args:
        folder: where they go, until :meth:`delete`.
        names: of the stems.
        residual: whether the last of them is what the others leave of the mixture, which then comes in its place.

    Attributes:
        segments: what can be played; it grows while the song is separated.
        sample_rate_hz: of the segments, once there is one.
    """

    def __init__(self, folder: Path, names: Sequence[str], residual: bool = False) -> None:
        self.folder, self.names, self.residual = folder, tuple(names), residual
        self.segments: list[Segment] = []
        self.sample_rate_hz = 0
        self._blocks: list[Tensor] = []
        self._start = 0

    def add(self, block: Tensor, sample_rate_hz: int) -> None:
        """Append a block (S, C, any length)."""
        self.sample_rate_hz = sample_rate_hz
        if self.residual:
            block = torch.cat([block[:-1], block[-1:] - block[:-1].sum(dim=0)])
        self._blocks.append(block)
        if sum(block.shape[-1] for block in self._blocks) >= SEGMENT_SECONDS * sample_rate_hz:
            self.flush()

    def flush(self) -> None:
        """Write what has come since the last segment."""
        if not self._blocks:
            return
        stems = torch.cat(self._blocks, dim=-1)
        self._blocks = []
        number = len(self.segments)  # at the name's end, where that of a stem's own file has the stem
        files = {name: self.folder / f"{name}-{number}{FORMAT.suffix}" for name in self.names}
        for samples, file in zip(stems, files.values(), strict=True):
            with atomic_path(file) as temporary, FORMAT.open(temporary, self.sample_rate_hz, len(samples)) as write:
                write(samples)
        self.segments.append(Segment(self._start, stems.shape[-1], files))
        self._start += stems.shape[-1]

    def delete(self) -> None:
        for segment in self.segments:
            for file in segment.files.values():
                file.unlink(missing_ok=True)
