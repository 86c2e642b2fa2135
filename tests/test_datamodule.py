"""The same batches whatever reads them: workers, processes, and runs that were killed on the way."""

import hashlib
import warnings
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import soundfile
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from pytorch_lightning.callbacks import ModelCheckpoint

import demixer.training.config  # noqa: F401  (registers the resolvers that conf/ uses)
from demixer.data.augmentations import Augmentations, ChannelSwap, Codec, Dropout, Gain, Polarity
from demixer.data.datamodule import MusicDataModule
from demixer.data.index import Index, Segment, index_path, read_index, write_index
from demixer.data.prepare import prepare
from demixer.data.sampler import ShardSampler, StreamSampler
from demixer.data.stems import DataError
from demixer.datasets.splits import MUSDB_VALIDATION_SONGS
from demixer.datasets.tracks import find_tracks, split_tracks
from demixer.errors import UserError
from demixer.sources import SOURCES

CONF = Path(__file__).resolve().parents[1] / "conf"
CROP = 4410
STEPS = {"max_steps": 16, "max_epochs": -1}


@pytest.fixture
def module(musdb_hq):
    def build(**options):
        defaults = {
            "roots": [musdb_hq],
            "targets": ["vocals", "bass"],
            "sad": False,
            "crop_seconds": 0.1,
            "batch_size": 2,
            "samples_per_epoch": 12,
            "num_workers": 0,
            "augmentations": Augmentations(mix=[Gain(), Dropout(0.3), ChannelSwap(), Polarity()]),
        }
        return MusicDataModule(**{**defaults, **options})

    return build


@pytest.fixture(scope="module")
def index_dir(musdb_hq, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index")
    prepare([musdb_hq], folder, SOURCES)
    return folder


def batches(module, count=None):
    module.setup("fit")
    return [module.on_after_batch_transfer(batch, 0) for batch in islice(module.train_dataloader(), count)]


def digest(batch):
    parts = [batch["mixture"].numpy().tobytes(), batch["targets"].numpy().tobytes(), str(batch["songs"]).encode()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


class TestTrainingBatch:
    def test_shapes(self, module):
        batch = batches(module())[0]
        assert set(batch) == {"mixture", "targets", "songs", "index"}
        assert batch["mixture"].shape == (2, 2, CROP)
        assert batch["targets"].shape == (2, 2, 2, CROP)
        assert batch["index"] == [0, 1]
        assert [len(songs) for songs in batch["songs"]] == [4, 4]

    def test_mixture_is_the_sum_of_the_augmented_sources(self, module):
        for batch in batches(module(targets=SOURCES)):
            assert batch["mixture"].equal(batch["targets"].sum(1))

    def test_a_codec_changes_the_mixture_alone(self, module):
        options = {"targets": SOURCES, "crop_seconds": 1.0, "samples_per_epoch": 2}
        (clean,) = batches(module(**options, augmentations=Augmentations()))
        (coded,) = batches(module(**options, augmentations=Augmentations(mixture={"codec": Codec(probability=1)})))
        assert coded["targets"].equal(clean["targets"])
        errors = (coded["mixture"] - clean["mixture"]).square().mean((1, 2)) / clean["mixture"].square().mean((1, 2))
        assert errors.min() > 1e-7
        assert errors.max() < 0.1

    def test_validation_mixtures_are_never_changed(self, module):
        changing = module(augmentations=Augmentations(mixture=[Codec(probability=1)]))
        changing.setup("fit")
        song = next(iter(changing.val_dataloader()))
        mixture = song["mixture"].clone()
        assert changing.on_after_batch_transfer(song, 0)["mixture"].equal(mixture)

    def test_targets_stand_in_the_models_order(self, module):
        every, some = batches(module(targets=SOURCES))[0], batches(module(targets=["other", "drums"]))[0]
        assert some["targets"].equal(every["targets"][:, [3, 1]])
        assert some["mixture"].equal(every["mixture"])

    def test_each_source_has_its_own_gain_and_the_target_carries_it(self, module):
        options = {"targets": SOURCES, "crop_seconds": 3.0, "samples_per_epoch": 2}  # long enough to hear each source
        plain = batches(module(**{**options, "augmentations": None}))[0]["targets"]
        loud = batches(module(**{**options, "augmentations": Augmentations(mix=[Gain()])}))[0]["targets"]
        gains_db = 20 * torch.log10(loud.square().mean((2, 3)) / plain.square().mean((2, 3))) / 2
        finite = gains_db[gains_db.isfinite()]
        assert len(finite) >= 6
        assert len({round(one, 3) for one in finite.tolist()}) == len(finite)
        assert finite.abs().max() <= 10.001

    def test_validation_songs_are_not_trained_on(self, module):
        songs = {song for batch in batches(module(samples_per_epoch=80)) for one in batch["songs"] for song in one}
        assert songs == {f"Tiny Band - {name}" for name in ("Amber", "Birch", "Cedar", "Dune")}

    def test_held_out_songs_are_neither_trained_nor_validated_on(self, module):
        data = module(samples_per_epoch=80, held_out=["Tiny Band - Birch"])
        trained = {song for batch in batches(data) for one in batch["songs"] for song in one}
        assert trained == {f"Tiny Band - {name}" for name in ("Amber", "Cedar", "Dune")}
        validated = {song["song"] for song in data.val_dataloader()}
        assert validated
        assert "Tiny Band - Birch" not in validated

    @pytest.mark.parametrize(
        ("settings", "line"),
        [
            ({"held_out": ["Tiny Band - Brich"]}, r"`held_out` names 1 song.*did you mean `Tiny Band - Birch`"),
            ({"held_out": ["Tiny Band - Birch"], "valid": ["Tiny Band - Birch"]}, "`valid` names 1 song.*not here"),
        ],
    )
    def test_songs_that_cannot_be_held_out(self, module, settings, line):
        with pytest.raises(UserError, match=line):
            module(**settings).setup("fit")

    def test_sad_index_is_followed(self, module, musdb_hq, tmp_path):
        (frames,) = (track.frames for track in find_tracks(musdb_hq, subset="train") if "Birch" in track.name)
        for source in SOURCES:
            index = Index([Segment("Tiny Band - Birch", 44100, 88200)], {"Tiny Band - Birch": frames})
            write_index(index_path(tmp_path, source, "train"), index)
        songs = {
            song for batch in batches(module(sad=True, index_dir=tmp_path)) for one in batch["songs"] for song in one
        }
        assert songs == {"Tiny Band - Birch"}

    @pytest.mark.parametrize("targets", [["vocals"], ["vocals", "drums"]])
    def test_songs_as_they_are_are_heard_where_a_target_sounds(self, module, index_dir, targets):
        data = module(sad=True, index_dir=index_dir, remix_probability=0.0, targets=targets, valid=[])
        data.setup("fit")
        indices = [read_index(index_path(index_dir, one, part)) for one in targets for part in ("train", "valid")]
        salient = {(one.track, one.start, one.end) for index in indices for one in index.segments}
        assert ("Tiny Band - Amber", 0, 264600) not in salient or len(targets) > 1  # the voice enters later
        crops = [data.train_set.crops(index) for index in range(300)]
        assert all(len(set(map(id, crop.values()))) == 1 for crop in crops)
        drawn = [crop["vocals"] for crop in crops]
        assert {(one.segment.track, one.segment.start, one.segment.end) for one in drawn} == salient
        assert all(one.segment.start <= one.start <= one.segment.end - one.length for one in drawn)


class TestSameBatches:
    @pytest.mark.filterwarnings("ignore:.*worker processes in total")  # 4 may be more than there are cores
    @pytest.mark.parametrize("options", [{"num_workers": 2}, {"num_workers": 4}, {"num_workers": 2, "preload": True}])
    def test_with_any_number_of_workers(self, module, options):
        assert list(map(digest, batches(module(**options)))) == list(map(digest, batches(module())))

    @pytest.mark.parametrize(
        ("sad", "places"),
        [
            (False, {0: [("Amber", 32553), ("Dune", 113056), ("Birch", 36875), ("Cedar", 34495)],
                     159_999: [("Cedar", 87239), ("Dune", 42901), ("Amber", 103920), ("Birch", 113357)]}),
            (True, {0: [("Birch", 138732), ("Amber", 119438), ("Cedar", 140543), ("Dune", 112592)],
                    159_999: [("Birch", 36043), ("Dune", 67837), ("Cedar", 100564), ("Amber", 62904)]}),
        ],
    )  # fmt: skip
    def test_from_now_on_on_every_machine(self, module, index_dir, sad, places):
        data = module(sad=sad, index_dir=index_dir, crop_seconds=3.0)
        data.setup("fit")
        for index, expected in places.items():
            crops = data.train_set.crops(index).values()
            assert [(crop.segment.track.split()[-1], crop.start) for crop in crops] == expected

    def test_another_seed_gives_others(self, module):
        assert not {*map(digest, batches(module(seed=1)))} & {*map(digest, batches(module()))}

    @pytest.mark.parametrize("position", [0, 5])
    def test_two_processes_see_together_what_one_sees(self, position):
        dataset = range(24)
        one = list(StreamSampler(dataset, 4, 0, 1, lambda: position))
        two = [list(StreamSampler(dataset, 2, rank, 2, lambda: position)) for rank in (0, 1)]
        for batch in range(6):
            union = two[0][2 * batch : 2 * batch + 2] + two[1][2 * batch : 2 * batch + 2]
            assert union == one[4 * batch : 4 * batch + 4]

    def test_two_processes_mix_together_what_one_mixes(self, module):
        one = batches(module(batch_size=4))
        halves = []
        for rank in (0, 1):
            data = module()
            data.setup("fit")
            data.trainer = SimpleNamespace(
                global_rank=rank,
                world_size=2,
                strategy=SimpleNamespace(root_device=torch.device("cpu")),
                fit_loop=pl.Trainer(accelerator="cpu", logger=False).fit_loop,
            )
            halves.append(batches(data))
        assert len(one) == len(halves[0]) == len(halves[1]) == 3
        for whole, *parts in zip(one, *halves, strict=True):
            assert torch.cat([part["mixture"] for part in parts]).equal(whole["mixture"])
            assert torch.cat([part["targets"] for part in parts]).equal(whole["targets"])

    def test_stream_never_repeats(self):
        numbers = [n for position in (0, 3, 6) for n in StreamSampler(range(6), 2, 0, 1, lambda at=position: at)]
        assert numbers == list(range(18))

    def test_samples_for_less_than_a_batch(self):
        with pytest.raises(UserError, match=r"`samples_per_epoch` \(=3\)"):
            StreamSampler(range(3), 2, 0, 2)


class Recorder(pl.LightningModule):
    """A network of one weight whose value depends on every batch and on their order."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen = []

    def training_step(self, batch, batch_idx):
        self.seen.append(tuple(batch["index"]))
        return (self.weight - batch["mixture"].mean()).square()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters(), 0.1)


class Crash(pl.Callback):
    """The process dies at the start of a batch, whatever workers have read ahead."""

    def __init__(self, batches):
        self.batches = batches

    def on_train_batch_start(self, trainer, module, batch, batch_idx):
        if trainer.fit_loop.epoch_loop.batch_progress.total.ready > self.batches:
            raise ZeroDivisionError("killed")


def fit(module, folder, resume=None, callbacks=(), every=2, **options):
    recorder = Recorder()
    length = {"max_epochs": 3, **options}
    saving = ModelCheckpoint(folder, save_last=True, every_n_train_steps=every or None, save_top_k=0 if every else 1)
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, callbacks=[saving, *callbacks], **length,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*LeafSpec.*", FutureWarning)  # Lightning 2.6 with torch 2.11
        warnings.filterwarnings("ignore", ".*does not have many workers.*")
        warnings.filterwarnings("ignore", ".*exists and is not empty.*")
        trainer.fit(recorder, module, ckpt_path=resume, weights_only=True if resume else None)
    return recorder


class TestResume:
    @pytest.mark.parametrize(
        ("workers", "every", "killed", "limits"),  # every 0: a checkpoint at the end of each epoch, of 6 batches
        [
            (0, 2, 9, {}),
            (2, 2, 9, {}),
            (2, 1, 12, {}),
            (2, 0, 9, {}),
            (2, 0, 12, {}),
            (2, 2, 9, STEPS),
            (2, 1, 12, STEPS),
            (2, 0, 9, STEPS),
            (2, 2, 9, {"limit_train_batches": 5}),
            (2, 0, 12, {"limit_train_batches": 5}),
        ],
    )
    def test_killed_run_sees_what_an_unbroken_one_sees(self, module, tmp_path, workers, every, limits, killed):
        whole = fit(module(num_workers=0), tmp_path / "whole", every=every, **limits)
        with pytest.raises(ZeroDivisionError):
            fit(module(num_workers=workers), tmp_path, every=every, callbacks=[Crash(killed)], **limits)
        resumed = fit(module(num_workers=workers), tmp_path, tmp_path / "last.ckpt", every=every, **limits)
        assert 0 < len(resumed.seen) < len(whole.seen)
        assert resumed.seen == whole.seen[-len(resumed.seen) :]
        assert resumed.weight.equal(whole.weight)

    def test_epochs_go_on_where_the_last_one_ended(self, module, tmp_path):
        seen = fit(module(num_workers=2), tmp_path).seen
        assert [number for batch in seen for number in batch] == list(range(36))


class TestValidation:
    def test_whole_songs_one_by_one(self, module, musdb_hq):
        data = module()
        data.setup("validate")
        songs = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
        tracks = split_tracks(find_tracks(musdb_hq, subset="train"), "valid")
        assert [song["song"] for song in songs] == [track.name for track in tracks]
        assert set(songs[0]) == {"song", "mixture", "targets"}
        assert songs[0]["mixture"].shape == (1, 2, tracks[0].frames)
        assert songs[0]["targets"].shape == (1, 2, 2, tracks[0].frames)

    def test_targets_sum_to_the_mixture_when_all_are_there(self, module):
        data = module(targets=SOURCES, max_valid_songs=1)
        data.setup("validate")
        (song,) = [data.on_after_batch_transfer(batch, 0) for batch in data.val_dataloader()]
        assert (song["targets"].sum(1) - song["mixture"]).abs().max() < 1e-4

    def test_named_songs(self, module):
        data = module(valid=["Tiny Band - Dune"])
        data.setup("fit")
        assert data.valid_set.songs == ("Tiny Band - Dune",)
        assert "Tiny Band - Dune" not in data.train_set.stems.tracks

    def test_naming_songs_gives_the_official_ones_back_to_training(self, module, index_dir):
        data = module(sad=True, index_dir=index_dir, valid=["Tiny Band - Dune"])
        data.setup("fit")
        drawn = {segment.track for pool in data.train_set.pools.values() for segment in pool.segments}
        assert data.valid_set.songs == ("Tiny Band - Dune",)
        assert drawn == {f"Tiny Band - {name}" for name in ("Amber", "Birch", "Cedar")} | MUSDB_VALIDATION_SONGS & {
            "Actions - One Minute Smile",
            "Triviul - Angelsaint",
        }

    @pytest.mark.parametrize("options", [{"valid": []}, {"valid": 0}, {"max_valid_songs": 0}])
    def test_without_songs_there_is_nothing_to_wait_for(self, module, index_dir, caplog, options):
        data = module(sad=True, index_dir=index_dir, **options)
        data.setup("fit")
        assert data.val_dataloader() == []
        assert len(data.train_set.stems.tracks) == (6 if "valid" in options else 4)
        assert [line for line in caplog.messages if line.startswith("no song is validated on")]

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["Tiny Band - Duna", "Tiny Band - Amber"], "1 song.* `Tiny Band - Duna` .did you mean `Tiny Band - Dune`"),
            (["Ember"], "1 song.* not here: `Ember`"),  # a test song, and not by its whole name
        ],
    )
    def test_misspelt_songs(self, module, names, message):
        with pytest.raises(UserError, match=message):
            module(valid=names).setup("fit")

    def test_index_and_lengths_are_what_prepare_wrote(self, index_dir, musdb_hq):
        frames = {track.name: track.frames for track in find_tracks(musdb_hq, subset="train")}
        parts = [read_index(index_path(index_dir, "vocals", part)) for part in ("train", "valid")]
        assert {**parts[0].frames, **parts[1].frames} == frames

    def test_processes_share_without_repeating(self):
        shards = [list(ShardSampler(range(5), rank, 3)) for rank in range(3)]
        assert shards == [[0, 3], [1, 4], [2]]

    def test_no_process_is_without_a_song(self):
        assert [list(ShardSampler(range(2), rank, 3)) for rank in range(3)] == [[0], [1], [0]]


class TestErrors:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_file_that_vanishes_while_training_is_one_line_with_its_path(self, module, tmp_path, workers):
        for song in ("a", "b"):
            (tmp_path / song).mkdir()
            for source in SOURCES:
                soundfile.write(tmp_path / song / f"{source}.wav", [[0.1, 0.2]] * 10_000, 44100)
        vanish = pl.callbacks.LambdaCallback(
            on_train_batch_start=lambda *_: (tmp_path / "a" / "drums.wav").unlink(missing_ok=True)
        )
        data = module(roots=[tmp_path], valid=["b"], num_workers=workers, samples_per_epoch=100)
        with pytest.raises(DataError) as caught:
            fit(data, tmp_path, callbacks=[vanish])
        assert "a/drums.wav" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "Traceback" not in str(caught.value)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"targets": ["piano"], "sources": ["bass"]}, "`targets` piano must be among `sources`"),
            ({"roots": [None]}, "MUSDB_DIR"),
            ({"sad": True}, "`index_dir`"),
            ({"crop_seconds": 0}, r"`crop_seconds` \(=0\)"),
            ({"remix_probability": 2}, r"`remix_probability` \(=2\)"),
        ],
    )
    def test_arguments(self, module, options, message):
        with pytest.raises(UserError, match=message):
            module(**options)

    def test_no_training_songs(self, module, musdb_hq):
        names = [track.name for track in find_tracks(musdb_hq, subset="train")]
        with pytest.raises(UserError, match="no training songs"):
            module(valid=names).setup("fit")


class TestConfig:
    def test_data_config_instantiates(self, musdb_hq, monkeypatch):
        monkeypatch.setenv("MUSDB_DIR", str(musdb_hq))
        cfg = OmegaConf.create({"seed": 3, "target": {"targets": ["drums"]}, "featurizer": {"sample_rate_hz": 44100}})
        for group, name in (("data", "musdb18hq"), ("augmentations", "paper")):
            cfg[group] = OmegaConf.load(CONF / group / f"{name}.yaml")
        data = instantiate(cfg.data)
        assert data.targets == ("drums",)
        assert data.crop_samples == 3 * 44100
        assert [type(one).__name__ for one in data.augmentations.mix] == ["Gain", "Dropout"]
