"""Training examples mixed from the stems of different songs, and whole songs for validation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor
from torch.utils.data import Dataset

from demixer.data.augmentations import Augmentations
from demixer.data.augmentations.stages import Plan, apply_plan, input_samples
from demixer.data.index import Segment
from demixer.data.pools import Pool
from demixer.data.randomness import generator_for, integer, uniform
from demixer.data.stems import Stems
from demixer.errors import UserError


@dataclass(frozen=True)
class Crop:
    """Where one source of an example comes from, and what happens to it."""

    segment: Segment
    start: int
    length: int
    plan: Plan


class RemixDataset(Dataset[dict[str, Any]]):
    """Example ``index`` is a pure function of (seed, index): a crop of each source, each from another song.

    Args:
        stems: Reads the songs.
        pools: For each source (their order is that of S) the segments in which it sounds.
        songs: Where examples that are not remixed are cut, all sources at one place.
        crop_samples: Length of an example.
        length: Examples in an epoch; any ``index`` ≥ 0 is an example, also beyond it.
        seed: Chooses the stream of examples.
        augmentations: Its stem stage is applied here.
        remix_probability: How often the sources come from different songs; otherwise all are from one song and
            position, drawn from ``songs`` and changed alike.
    """

    def __init__(
        self,
        stems: Stems,
        pools: Mapping[str, Pool],
        songs: Pool,
        crop_samples: int,
        length: int,
        seed: int = 0,
        augmentations: Augmentations | None = None,
        remix_probability: float = 1.0,
    ) -> None:
        empty = [source for source, pool in pools.items() if not pool.segments]
        if empty:
            raise UserError(f"no training song has a segment of {', '.join(empty)}; see `sources` and the index files")
        self.stems, self.pools, self.songs = stems, pools, songs
        self.crop_samples, self.length, self.seed = crop_samples, length, seed
        self.augmentations = augmentations or Augmentations()
        self.remix_probability = remix_probability

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``{"sources": (S, C, L) float32, "songs": [name] · S, "index": index}``."""
        crops = self.crops(index)
        sources = torch.stack([self._read(source, crop) for source, crop in crops.items()])
        return {"sources": sources, "songs": [crop.segment.track for crop in crops.values()], "index": index}

    def crops(self, index: int) -> dict[str, Crop]:
        """What example ``index`` is made of, without reading it."""
        generator = generator_for(self.seed, index, "crops")
        if uniform(0, 1, generator) >= self.remix_probability:
            plan = self.augmentations.plan_stem(generator_for(self.seed, index, "stem"))
            crop = self._place(self.songs.draw(generator), plan, generator)
            return dict.fromkeys(self.pools, crop)
        crops: dict[str, Crop] = {}
        for source, pool in self.pools.items():
            plan = self.augmentations.plan_stem(generator_for(self.seed, index, f"stem/{source}"))
            segment = pool.draw(generator, {crop.segment.track for crop in crops.values()})
            crops[source] = self._place(segment, plan, generator)
        return crops

    def _place(self, segment: Segment, plan: Plan, generator: Generator) -> Crop:
        """A crop inside the segment; a longer one starts with it, or earlier if the song would end too soon."""
        length = input_samples(plan, self.crop_samples, self.stems.sample_rate_hz)
        start = integer(segment.start, max(segment.start, segment.end - length), generator)
        return Crop(segment, max(0, min(start, self.stems.frames(segment.track) - length)), length, plan)

    def _read(self, source: str, crop: Crop) -> Tensor:
        if not self.stems.has(crop.segment.track, source):
            return torch.zeros(2, self.crop_samples)
        audio = self.stems.read(crop.segment.track, source, crop.start, crop.length)
        return apply_plan(crop.plan, audio, self.stems.sample_rate_hz, self.crop_samples)


class SongDataset(Dataset[dict[str, Any]]):
    """Whole songs: the mixture's own file, or the sum of the sources where there is none."""

    def __init__(self, stems: Stems, sources: Sequence[str]) -> None:
        self.stems, self.sources = stems, tuple(sources)
        self.songs = tuple(stems.tracks)

    def __len__(self) -> int:
        return len(self.songs)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """``{"song": name, "mixture": (C, L), "sources": (S, C, L)}``; a source that the song lacks is silent."""
        song = self.songs[index]
        frames = self.stems.frames(song)
        sources = torch.stack([self._read(song, source, frames) for source in self.sources])
        mixture = self._read(song, "mixture", frames) if self.stems.has(song, "mixture") else sources.sum(0)
        return {"song": song, "mixture": mixture, "sources": sources}

    def _read(self, song: str, source: str, frames: int) -> Tensor:
        return self.stems.read(song, source, 0, frames) if self.stems.has(song, source) else torch.zeros(2, frames)
