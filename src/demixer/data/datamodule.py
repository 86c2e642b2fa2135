"""Songs in folders → batches for training and whole songs for validation."""

import logging
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from demixer.data.augmentations import Augmentations
from demixer.data.dataset import RemixDataset, SongDataset
from demixer.data.loading import Batch, ResumableLoader, collate_examples, collate_song, worker_options
from demixer.data.pools import check_root_weights
from demixer.data.preload import shared_file
from demixer.data.randomness import generator_for
from demixer.data.sampler import ShardSampler, StreamSampler
from demixer.data.stems import Stems
from demixer.data.training_pools import Drawing
from demixer.datasets.layouts import FOLDERS, layout_of_each
from demixer.datasets.splits import Valid
from demixer.datasets.stem_names import sources_around
from demixer.datasets.tracks import Track, find_tracks, held_out_tracks, split_tracks, validation_tracks
from demixer.datasets.twins import without_twins
from demixer.errors import UserError

log = logging.getLogger(__name__)


class MusicDataModule(LightningDataModule):
    """Training batches mixed from the stems of different songs, validation on whole songs.

    A training batch is ``{"mixture": (B, C, L), "targets": (B, S, C, L), "songs": B lists of names (one for each
    source), "index": B numbers}``, a validation batch ``{"song": name, "mixture": (1, C, L), "targets":
    (1, S, C, L)}``. The mix stage of the augmentations, the sum and the choice of targets happen on the training
    device, in :meth:`on_after_batch_transfer`. The same seed gives the same batches with any number of workers.

    Args:
        roots: Dataset folders, see :func:`demixer.datasets.tracks.find_tracks`.
        layout: How songs lie in the roots, see :mod:`demixer.datasets.layouts`: one name, or one for each root.
        root_weights: How often each of ``roots`` is drawn from, see :func:`demixer.data.pools.pool_of`; None: by the
            number of its segments.
        targets: What is trained, some of ``sources``, in the model's order.
        sources: What is mixed; None: see :func:`demixer.datasets.stem_names.sources_around`.
        index_dir: Where prepare_dataset.py wrote ``{source}_train.txt`` and ``_valid.txt``; needed with ``sad``.
        sad: Draw crops from the segments of the index; otherwise from any position, in proportion to duration.
        sample_rate_hz: The model's; songs at another rate are resampled as they are read.
        crop_seconds: Length of a training example.
        batch_size: Examples a batch, on each process.
        samples_per_epoch: Examples an epoch, over all processes.
        seed: Of every random choice here.
        remix_probability: How often the sources of an example come from different songs; otherwise they are one
            song's at one place, with ``sad`` one where a target sounds.
        augmentations: See :class:`demixer.data.augmentations.Augmentations`.
        valid: Validation songs, by name or as a fraction; an empty list: none, and all songs are trained on; None:
            the official ones, see :func:`demixer.datasets.splits.validation_names`.
        max_valid_songs: Validate on the first so many songs only.
        held_out: Names of songs that are neither trained nor validated on: ``evaluate.py --split held-out`` has them.
        preload: Keep the training stems in memory, one copy for all processes of a machine.
        num_workers: Processes that read; 0 reads in the training process.
        prefetch_factor: Batches that each worker reads ahead.
    """

    def __init__(
        self,
        roots: Sequence[Path | str],
        targets: Sequence[str],
        sources: Sequence[str] | None = None,
        index_dir: Path | str | None = None,
        sad: bool = True,
        sample_rate_hz: int = 44100,
        crop_seconds: float = 3.0,
        batch_size: int = 2,
        samples_per_epoch: int = 160_000,
        seed: int = 0,
        remix_probability: float = 1.0,
        augmentations: Augmentations | None = None,
        valid: Valid = None,
        max_valid_songs: int | None = None,
        held_out: Collection[str] = (),
        preload: bool = False,
        num_workers: int = 2,
        prefetch_factor: int = 2,
        root_weights: Sequence[float] | None = None,
        layout: str | Sequence[str] = FOLDERS,
    ) -> None:
        super().__init__()
        unknown = [target for target in targets if target not in (sources or targets)]
        if unknown:
            raise UserError(f"`targets` {', '.join(unknown)} must be among `sources` ({', '.join(sources)})")
        if not roots or None in roots:
            raise UserError("no dataset folder: set the environment variable MUSDB_DIR, or `data.roots`")
        if sad and index_dir is None:
            raise UserError("`sad=true` needs `index_dir`, which prepare_dataset.py writes; or set `sad=false`")
        if round(crop_seconds * sample_rate_hz) < 1 or not 0 <= remix_probability <= 1:
            raise UserError(
                f"`crop_seconds` (={crop_seconds}) must be above 0, `remix_probability` (={remix_probability}) in 0…1"
            )
        least = {"batch_size": 1, "samples_per_epoch": 1, "num_workers": 0, "max_valid_songs": 0}
        for name, value in zip(least, (batch_size, samples_per_epoch, num_workers, max_valid_songs), strict=True):
            if value is not None and value < least[name]:
                raise UserError(f"`{name}` (={value}) must be at least {least[name]}")
        if root_weights is not None:
            check_root_weights(root_weights, roots)
        self.layout = layout_of_each(layout, roots)
        self.roots, self.drawing = roots, Drawing(Path(index_dir) if sad else None, root_weights)
        self.sources, self.targets = tuple(sources or ()), tuple(targets)
        self.sample_rate_hz, self.crop_samples = sample_rate_hz, round(crop_seconds * sample_rate_hz)
        self.batch_size, self.samples_per_epoch = batch_size, samples_per_epoch
        self.seed, self.remix_probability = seed, remix_probability
        self.augmentations = augmentations or Augmentations()
        self.valid, self.max_valid_songs, self.held_out = valid, max_valid_songs, held_out
        self.preload, self.num_workers, self.prefetch_factor = preload, num_workers, prefetch_factor
        self.train_set: RemixDataset | None = None
        self.valid_set: SongDataset | None = None

    @property
    def crops_per_batch(self) -> int:
        """How many crops a batch of one process is trained on."""
        return self.batch_size

    def setup(self, stage: str | None = None) -> None:
        """Find the songs, check every file, and open both splits.

        Raises:
            UserError: no songs, bad files (all in one list), or an index that does not belong to the songs.
        """
        wanted = self.sources or self.targets
        self.sources = self.sources or sources_around(self.targets, self.roots, layout=self.layout)
        tracks = find_tracks(self.roots, (*self.sources, "mixture"), "train", self.layout)
        apart, rest = held_out_tracks(tracks, self.held_out)
        valid = validation_tracks(rest, self.targets, self.valid)
        if stage in (None, "fit") and self.train_set is None:
            train = self._training_tracks(rest, valid, apart)
            self.train_set = self._training_set(train, tracks, wanted)
            # a source that was found in validation songs only comes last, where nobody asks a training batch for it
            self.sources = tuple(dict.fromkeys((*self.train_set.pools, *self.sources)))
        valid_stems = Stems(valid[: self.max_valid_songs], self.sources, self.sample_rate_hz)
        self.valid_set = SongDataset(valid_stems, self.sources)
        if not len(self.valid_set):
            self._validate_nothing()

    def _validate_nothing(self) -> None:
        nothing = "no song is validated on (`valid` %s, `max_valid_songs` %s): the last weights are the result"
        log.warning(nothing, self.valid, self.max_valid_songs)
        if self.trainer:
            self.trainer.limit_val_batches = 0  # Lightning's way to say so
            warnings.filterwarnings("ignore", ".*could not find the monitored key")  # ModelCheckpoint's, of no score

    def _training_tracks(self, tracks: Sequence[Track], valid: Sequence[Track], apart: Sequence[Track]) -> list[Track]:
        """Those of the tracks that are not validated on, nor the same recording as one that is or is held out."""
        measured = {track.name for track in valid}
        train = [track for track in split_tracks(tracks, "train", self.valid) if track.name not in measured]
        train = [track for track in train if set(track.paths) - {"mixture"}]
        train = without_twins(train, [*valid, *apart], self.roots, self.sources, self.layout)
        if not train:
            raise UserError(f"no training songs: all {len(tracks)} are for validation; see `valid`")
        return train

    def _training_set(self, train: Sequence[Track], tracks: Sequence[Track], wanted: Collection[str]) -> RemixDataset:
        """What is drawn from ``train``; the index names all ``tracks``."""
        shared = shared_file(self.trainer) if self.preload else None
        stems = Stems(train, self.sources, self.sample_rate_hz, self.preload, shared)
        pools = self.drawing.pools(stems, self.sources, wanted, tracks)
        return RemixDataset(
            stems,
            pools,
            self.drawing.coherent_pool(stems, pools, self.targets),
            crop_samples=self.crop_samples,
            length=self.samples_per_epoch,
            seed=self.seed,
            augmentations=self.augmentations,
            remix_probability=self.remix_probability,
        )

    def train_dataloader(self) -> DataLoader:
        """Batches from where the trainer stands: after a checkpoint, the next one that was not yet trained on."""
        rank, world_size = self._process()
        sampler = StreamSampler(self.train_set, self.batch_size, rank, world_size, self._batches_done)
        return ResumableLoader(
            self.train_set, self.batch_size, sampler=sampler, collate_fn=collate_examples, **self._workers()
        )

    def val_dataloader(self) -> DataLoader | list[DataLoader]:
        """One whole song a batch; each process has its own share of the songs. Without songs, no loader."""
        if not len(self.valid_set):
            return []
        sampler = ShardSampler(self.valid_set, *self._process())
        return DataLoader(self.valid_set, 1, sampler=sampler, collate_fn=collate_song)

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Mix on the device: augment the sources, sum them, pick the targets; then change the mixtures alone."""
        training = "mixture" not in batch
        batch = self.mix(batch)
        if training:
            generators = [generator_for(self.seed, index, "mixture") for index in batch["index"]]
            batch["mixture"] = self.augmentations.change_mixtures(batch["mixture"], generators, self.sample_rate_hz)
        return batch

    def mix(self, batch: Batch) -> Batch:
        """Sources → mixture and targets; a mixture that is given stays."""
        sources = batch.pop("sources")
        if "mixture" not in batch:
            generators = [generator_for(self.seed, index, "mix") for index in batch["index"]]
            sources = self.augmentations.mix_batch(sources, generators, self.sample_rate_hz)
            batch["mixture"] = sources.sum(1)
        return {**batch, "targets": sources[:, [self.sources.index(target) for target in self.targets]]}

    def _process(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _batches_done(self) -> int:
        """What the weights have absorbed: Lightning counts it, unmoved by prefetching, and stores it in checkpoints."""
        return self.trainer.fit_loop.epoch_loop.batch_progress.total.processed if self.trainer else 0

    def _workers(self) -> dict[str, Any]:
        on_cuda = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        return {"pin_memory": on_cuda, **worker_options(self.num_workers, self.prefetch_factor)}
