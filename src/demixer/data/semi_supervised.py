"""Labelled examples, each joined by a piece of a song without stems that a teacher separates on the device."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from demixer.data.datamodule import MusicDataModule
from demixer.data.dataset import RemixDataset
from demixer.data.loading import Batch
from demixer.data.randomness import generator_for, happens
from demixer.data.unlabelled import PlainSongs, find_plain_songs
from demixer.errors import UserError

Label = Callable[[Tensor], tuple[Tensor, Tensor]]


class SemiSupervisedDataModule(MusicDataModule):
    """Training batches of twice ``batch_size``, for the semi-supervised fine-tuning of Luo & Yu 2022 (section III-D).

    The paper says that pseudo-labels and residuals of unlabelled songs are mixed like stems, and not how they meet
    the labelled ones. Here every labelled example (the targets, and the sum of the other sources as residual) has an
    unlabelled partner (the teacher's estimates, and the residual that they leave of the mixture). The partner's parts
    get their own gain and drop-out, as stems do; then each part changes places with the partner's with
    ``swap_probability``, so that a true voice is also heard over the band of an unlabelled song and the reverse. Both
    partners are trained on. Stem augmentations are for stems, and those of mixtures for the labelled ones: what the
    teacher hears is the song as it is, which mostly comes from a lossy file already.

    Args:
        unlabelled: Folders of songs without stems, see :func:`demixer.data.unlabelled.find_plain_songs`.
        swap_probability: How often a part changes places with the partner's.
        label: The teacher: mixtures (B, C, L) → targets (B, S, C, L) and residual (B, C, L).
        **options: See :class:`MusicDataModule`.
    """

    def __init__(
        self,
        unlabelled: Sequence[Path | str | None],
        swap_probability: float = 0.5,
        label: Label | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not 0 <= swap_probability <= 1:
            raise UserError(f"`swap_probability` (={swap_probability}) must be in 0…1")
        self.unlabelled, self.swap_probability, self.label = unlabelled, swap_probability, label

    @property
    def crops_per_batch(self) -> int:
        return 2 * self.batch_size

    def setup(self, stage: str | None = None) -> None:
        """Check both kinds of songs.

        Raises:
            UserError: as :meth:`MusicDataModule.setup`, or no unlabelled songs are given, or some are bad, or nobody
                labels them.
        """
        if self.label is None:
            raise UserError("nobody labels the songs without stems: set callbacks=semi_supervised")
        if not self.unlabelled or None in self.unlabelled:
            raise UserError("no songs without stems: set `data.unlabelled=[FOLDER]`, or the variable UNLABELLED_DIR")
        super().setup(stage)
        if isinstance(self.train_set, RemixDataset):
            songs = PlainSongs(find_plain_songs(self.unlabelled), self.sample_rate_hz, self.crop_samples)
            self.train_set = PartneredDataset(self.train_set, songs, self.seed)

    def mix(self, batch: Batch) -> Batch:
        """Label the unlabelled mixtures, and mix them with the labelled examples, which come first."""
        mixtures, songs = batch.pop("unlabelled", None), batch.pop("unlabelled_song", [])
        batch = super().mix(batch)
        if mixtures is None:
            return batch
        generators = self._generators(batch, "mix/unlabelled")
        pseudo = self.augmentations.mix_batch(_parts(*self.label(mixtures)), generators, self.sample_rate_hz)
        true = _parts(batch["targets"], batch["mixture"] - batch["targets"].sum(1))
        draws = [happens(self.swap_probability, true.shape[1], g) for g in self._generators(batch, "swap")]
        parts = torch.cat(swap(true, pseudo, torch.stack(draws).to(true.device)))
        everyone = {"songs": batch["songs"] + [[song] for song in songs], "index": batch["index"]}
        return {"mixture": parts.sum(1), "targets": parts[:, :-1], **everyone}

    def _generators(self, batch: Batch, purpose: str) -> list[torch.Generator]:
        return [generator_for(self.seed, index, purpose) for index in batch["index"]]


class PartneredDataset(Dataset[dict[str, Any]]):
    """Labelled examples with an unlabelled crop each, which depends on (seed, index) alone as well."""

    def __init__(self, labelled: RemixDataset, songs: PlainSongs, seed: int) -> None:
        self.labelled, self.songs, self.seed = labelled, songs, seed

    def __len__(self) -> int:
        return len(self.labelled)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Adds ``{"unlabelled": (C, L), "unlabelled_song": name}``."""
        song, crop = self.songs.crop(generator_for(self.seed, index, "unlabelled"))
        return {**self.labelled[index], "unlabelled": crop, "unlabelled_song": song}


def swap(one: Tensor, other: Tensor, swapped: Tensor) -> tuple[Tensor, Tensor]:
    """Exchange the parts (B, S, C, L) of two batches where ``swapped`` (B, S) is true."""
    where = swapped[..., None, None]
    return torch.where(where, other, one), torch.where(where, one, other)


def _parts(targets: Tensor, residual: Tensor) -> Tensor:
    """(B, S, C, L) and (B, C, L) → (B, S + 1, C, L)."""
    return torch.cat([targets, residual.unsqueeze(1)], dim=1)
