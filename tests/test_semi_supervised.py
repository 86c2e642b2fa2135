"""Semi-supervised fine-tuning: the 30 dB rules, songs without stems, how they are mixed, and who teaches when."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from song_files import TINY_HPARAMS, music, noise, snr_db, write_song
from test_audio import encode
from tiny_runs import TINY, composed, scalars, tiny_run
from torch import Tensor

from demixer.audio import open_audio
from demixer.checkpoints.hparams import write_hparams
from demixer.checkpoints.locating import best_checkpoint
from demixer.checkpoints.weights import write_weights
from demixer.data.augmentations import Augmentations, Codec, Dropout, Gain
from demixer.data.randomness import generator_for
from demixer.data.semi_supervised import SemiSupervisedDataModule, swap
from demixer.data.unlabelled import PlainSongs, find_plain_songs
from demixer.errors import UserError
from demixer.model.building import build_network
from demixer.separation.separator import Separator
from demixer.training.config import build_all
from demixer.training.initial_weights import adopt_settings
from demixer.training.teacher import Teacher, build_data, pseudo_labels


def fraction(db: float) -> float:
    return 10 ** (db / 20)


class TestThirtyDecibels:
    MIXTURE = noise(1000)[None]  # (1, C, L)

    def label(self, *estimates: Tensor, **options: float) -> tuple[Tensor, Tensor]:
        targets, residual = pseudo_labels(self.MIXTURE, torch.stack(estimates, 1), **options)
        assert torch.allclose(targets.sum(1) + residual, self.MIXTURE, atol=1e-6)
        return targets, residual

    @pytest.mark.parametrize(("below_db", "absent"), [(30.1, True), (29.9, False)])
    def test_an_estimate_far_below_the_mixture_makes_it_a_clean_residual(self, below_db, absent):
        estimate = fraction(-below_db) * self.MIXTURE
        targets, residual = self.label(estimate)
        assert targets[:, 0].equal(torch.zeros_like(estimate) if absent else estimate)
        assert residual.equal(self.MIXTURE if absent else self.MIXTURE - estimate)

    @pytest.mark.parametrize(("below_db", "clean"), [(30.1, True), (29.9, False)])
    def test_a_residual_far_below_the_mixture_makes_it_a_clean_target(self, below_db, clean):
        estimate = (1 - fraction(-below_db)) * self.MIXTURE
        targets, residual = self.label(estimate)
        assert targets[:, 0].equal(self.MIXTURE if clean else estimate)
        assert residual.equal(torch.zeros_like(estimate) if clean else self.MIXTURE - estimate)

    def test_the_threshold_can_be_chosen(self):
        estimate = fraction(-25) * self.MIXTURE
        assert self.label(estimate)[0].any()
        assert not self.label(estimate, threshold_db=20)[0].any()

    def test_each_of_several_targets_is_judged_by_itself(self):
        half, leak = 0.5 * self.MIXTURE, fraction(-40) * self.MIXTURE
        targets, residual = self.label(half, leak)
        assert targets[:, 0].equal(half)
        assert not targets[:, 1].any()
        assert residual.equal(self.MIXTURE - half)

    def test_a_clean_target_leaves_nothing_for_the_others(self):
        targets, residual = self.label(0.1 * self.MIXTURE, 0.999 * self.MIXTURE, self.MIXTURE * 0.99)
        assert targets[:, 1].equal(self.MIXTURE)
        assert not targets[:, [0, 2]].any()
        assert not residual.any()

    def test_each_mixture_of_a_batch_is_judged_by_itself(self):
        mixture = torch.cat([self.MIXTURE, 1e-3 * self.MIXTURE])
        estimate = torch.cat([1e-3 * self.MIXTURE, 0.5e-3 * self.MIXTURE])[:, None]
        targets, _ = pseudo_labels(mixture, estimate)
        assert [bool(one.any()) for one in targets] == [False, True]

    def test_silence_holds_no_target(self):
        targets, residual = pseudo_labels(torch.zeros(1, 2, 10), torch.full((1, 1, 2, 10), 0.1))
        assert not targets.any()
        assert not residual.any()


def stairs(seconds: int, rate_hz: int = 44100) -> Tensor:
    """(C, L): second n is a tone of 200 · (n + 1) Hz."""
    time = torch.arange(seconds * rate_hz) / rate_hz
    return (0.3 * torch.sin(2 * torch.pi * 200 * (time.floor() + 1) * time)).float().expand(2, -1)


def pitch_hz(audio: Tensor, rate_hz: int) -> float:
    spectrum = torch.fft.rfft(audio.mean(0) * torch.hann_window(audio.shape[-1])).abs()
    return spectrum.argmax().item() * rate_hz / audio.shape[-1]


class TestPlainSongs:
    def test_a_crop_is_that_part_of_the_file_to_the_sample(self, tmp_path):
        path = write_song(tmp_path / "a.wav", noise(50_000))
        for number in range(4):
            crops = PlainSongs(find_plain_songs([tmp_path]), 44100, 4410)
            name, crop = crops.crop(generator_for(0, number, "x"))
            windows = soundfile.read(path, dtype="float32")[0].T
            (start,) = np.flatnonzero(windows[0] == crop[0, 0].item())
            assert (name, crop.shape) == (str(path), (2, 4410))
            assert np.array_equal(windows[:, start : start + 4410], crop.numpy())

    def test_no_more_than_the_crop_is_read(self, tmp_path, monkeypatch):
        write_song(tmp_path / "a.wav", noise(500_000))
        crops, asked = PlainSongs(find_plain_songs([tmp_path]), 44100, 4410), []
        read = soundfile.SoundFile.read

        def watch(file: soundfile.SoundFile, frames: int, **options: object) -> np.ndarray:
            asked.append(frames)
            return read(file, frames, **options)

        monkeypatch.setattr(soundfile.SoundFile, "read", watch)
        crops.crop(generator_for(0, 0, "x"))
        assert asked == [4410]

    @pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
    @pytest.mark.parametrize("rate_hz", [44100, 48000])
    def test_it_is_read_from_where_it_should_in_every_format(self, tmp_path, suffix, rate_hz):
        path = write_song(tmp_path / f"a{suffix}", stairs(6, rate_hz), rate_hz, subtype=None)
        songs = PlainSongs(find_plain_songs([tmp_path]), 44100, 22050)
        for second in (0, 3, 5):
            crop = songs._read(path, second + 0.25)
            assert crop.shape == (2, 22050)
            assert pitch_hz(crop, 44100) == pytest.approx(200 * (second + 1), abs=2)

    @pytest.mark.parametrize("codec", ["aac", "mp3", "libopus"])
    def test_a_container_is_read_from_there_to_a_packet(self, tmp_path, codec):
        path = tmp_path / f"a.{'webm' if codec == 'libopus' else 'mp3' if codec == 'mp3' else 'm4a'}"
        encode(path, codec, noise(5 * 48000), 48000)
        with open_audio(path) as reader:
            whole = torch.cat(list(reader.blocks(48000)), dim=-1)[0]
        crop = PlainSongs(find_plain_songs([tmp_path]), 48000, 24000)._read(path, 3.0)[0]
        padded = torch.fft.rfft(crop, whole.shape[-1])
        lag = torch.fft.irfft(torch.fft.rfft(whole) * padded.conj(), whole.shape[-1]).argmax().item()
        assert abs(lag / 48000 - 3.0) < 0.04
        assert snr_db(whole[lag : lag + 24000], crop) > 20  # the same decoder's, from its first sample

    def test_reading_on_to_the_end_is_no_damage(self, tmp_path):
        with open_audio(write_song(tmp_path / "a.wav", noise(1000))) as reader:
            reader.seek(500 / 44100)
            assert sum(block.shape[-1] for block in reader.blocks(100)) == 500
            assert reader.damage is None

    def test_mono_becomes_stereo_and_short_songs_end_in_silence(self, tmp_path):
        write_song(tmp_path / "Artist/short.FLAC", music(1000, channels=1), subtype="PCM_24")
        _, crop = PlainSongs(find_plain_songs([tmp_path]), 44100, 4410).crop(generator_for(0, 0, "x"))
        assert crop[0].equal(crop[1])
        assert snr_db(music(1000, channels=1)[0], crop[0, :1000]) > 60
        assert not crop[:, 1000:].any()

    def test_long_songs_are_heard_more_often(self, tmp_path):
        for name, seconds in (("a", 1), ("b", 4)):
            write_song(tmp_path / f"{name}.wav", noise(44100 * seconds))
        songs = PlainSongs(find_plain_songs([tmp_path]), 44100, 441)
        names = [Path(songs.crop(generator_for(0, i, "x"))[0]).stem for i in range(100)]
        assert 70 <= names.count("b") <= 90

    def test_every_bad_file_is_named(self, tmp_path):
        write_song(tmp_path / "good.wav", noise(100))
        write_song(tmp_path / "six.wav", noise(100, channels=6))
        write_song(tmp_path / ".hidden.wav", noise(100, channels=6))
        (tmp_path / "text.mp3").write_text("not audio")
        (tmp_path / "notes.txt").write_text("no song")
        with pytest.raises(UserError, match=r"(?s)2 bad file.*six\.wav`: has 6 channels.*text\.mp3`: "):
            find_plain_songs([tmp_path])

    @pytest.mark.parametrize(("folder", "message"), [("", "no unlabelled songs in"), ("x", "`.*x` does not exist")])
    def test_no_songs_at_all(self, tmp_path, folder, message):
        with pytest.raises(UserError, match=message):
            find_plain_songs([tmp_path / folder])


def test_swap_exchanges_the_parts_that_are_chosen():
    one, other = torch.full((1, 2, 1, 1), 1.0), torch.full((1, 2, 1, 1), 2.0)
    swapped = swap(one, other, torch.tensor([[True, False]]))
    assert [part.flatten().tolist() for part in swapped] == [[2, 1], [1, 2]]


@pytest.fixture(scope="module")
def plain_songs(comb_musdb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The mixtures of the songs without their stems, two formats."""
    folder = tmp_path_factory.mktemp("plain")
    for number, file in enumerate(sorted(comb_musdb.glob("train/*/mixture.wav"))):
        samples, rate_hz = soundfile.read(file)
        soundfile.write(folder / f"{number}.{'flac' if number else 'mp3'}", samples, rate_hz)
    return folder


class TestMixing:
    def batch(self, comb_musdb: Path, plain_songs: Path, batches: int = 1, **options: object) -> list[dict]:
        defaults = {"targets": ["bass"], "sad": False, "crop_seconds": 0.1, "batch_size": 2, "num_workers": 0}
        defaults["label"] = lambda mixture: (mixture[:, None] * 0.25, mixture * 0.75)
        module = SemiSupervisedDataModule([plain_songs], roots=[comb_musdb], **{**defaults, **options})
        module.setup("fit")
        loader = iter(module.train_dataloader())
        return [module.on_after_batch_transfer(next(loader), 0) for _ in range(batches)]

    def test_labelled_examples_are_followed_by_their_partners(self, comb_musdb, plain_songs):
        (batch,) = self.batch(comb_musdb, plain_songs, swap_probability=0.0)
        assert batch["mixture"].shape == (4, 2, 4410)
        assert batch["targets"].shape == (4, 1, 2, 4410)
        assert torch.allclose(batch["targets"][2:, 0], 0.25 * batch["mixture"][2:], atol=1e-7)
        assert not torch.allclose(batch["targets"][:2, 0], 0.25 * batch["mixture"][:2], atol=1e-2)
        assert [len(songs) for songs in batch["songs"]] == [4, 4, 1, 1]

    def test_parts_change_places_and_nothing_is_lost(self, comb_musdb, plain_songs):
        (kept,) = self.batch(comb_musdb, plain_songs, swap_probability=0.0)
        (swapped,) = self.batch(comb_musdb, plain_songs, swap_probability=1.0)
        assert swapped["targets"].equal(kept["targets"][[2, 3, 0, 1]])
        mixed = self.batch(comb_musdb, plain_songs, batches=8)
        plain = self.batch(comb_musdb, plain_songs, batches=8, swap_probability=0.0)
        crossed = 0
        for some, without in zip(mixed, plain, strict=True):
            assert torch.allclose(some["mixture"].sum(0), without["mixture"].sum(0), atol=1e-5)
            residuals = [one["mixture"] - one["targets"].sum(1) for one in (some, without)]
            targets_stay = some["targets"][:2].eq(without["targets"][:2]).all((1, 2, 3))
            residual_stays = torch.isclose(*residuals, atol=1e-5).all((1, 2))[:2]
            crossed += int((targets_stay != residual_stays).sum())
        assert 3 <= crossed <= 13  # of 16, half on the average: a true part with an unlabelled song's

    def test_partners_have_gains_and_drop_out_of_their_own(self, comb_musdb, plain_songs):
        gains = Augmentations(mix=[Gain(-6.0, -6.0), Dropout(0.0)])
        options = {"swap_probability": 0.0, "targets": ["vocals"]}
        (plain,), (quiet,) = (
            self.batch(comb_musdb, plain_songs, augmentations=one, **options) for one in (None, gains)
        )
        assert torch.allclose(quiet["mixture"], 0.5011872 * plain["mixture"], atol=1e-6)
        random = Augmentations(mix=[Gain()])
        (loud,) = self.batch(comb_musdb, plain_songs, augmentations=random, **options)
        gains = (loud["targets"] / plain["targets"]).nanmedian(-1).values[:, 0, 0]
        assert len({round(gain.item(), 4) for gain in gains}) == 4  # the labelled targets' and their partners'
        (silent,) = self.batch(comb_musdb, plain_songs, augmentations=Augmentations(mix=[Dropout(1.0)]))
        assert not silent["mixture"].any()

    def test_a_codec_changes_the_labelled_mixtures_alone(self, comb_musdb, plain_songs):
        codec = Augmentations(mixture=[Codec(probability=1)])
        (plain,), (coded,) = (self.batch(comb_musdb, plain_songs, augmentations=one) for one in (None, codec))
        assert coded["targets"].equal(plain["targets"])
        assert coded["mixture"][2:].equal(plain["mixture"][2:])
        assert all(not coded["mixture"][place].equal(plain["mixture"][place]) for place in (0, 1))

    def test_examples_do_not_depend_on_how_batches_are_cut(self, comb_musdb, plain_songs):
        gains = Augmentations(mix=[Gain(), Dropout(0.3)])
        (whole,) = self.batch(comb_musdb, plain_songs, batch_size=4, augmentations=gains)
        one, two = self.batch(comb_musdb, plain_songs, batches=2, augmentations=gains)
        labelled, partners = whole["targets"].split(4)
        assert labelled.equal(torch.cat([one["targets"][:2], two["targets"][:2]]))
        assert partners.equal(torch.cat([one["targets"][2:], two["targets"][2:]]))

    def test_without_a_teacher_one_line_says_what_is_missing(self, comb_musdb, plain_songs):
        module = SemiSupervisedDataModule([plain_songs], roots=[comb_musdb], targets=["bass"], sad=False, num_workers=0)
        with pytest.raises(UserError, match="set callbacks=semi_supervised"):
            module.setup("fit")


SINGLE = ["target=bass", "model.features=8", "data.samples_per_epoch=16", "data.batch_size=2", "optimizer.lr=1e-2"]


@pytest.fixture(scope="module")
def teacher(comb_musdb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that has learnt a little."""
    run = tmp_path_factory.mktemp("teacher") / "run"
    tiny_run(run, *SINGLE, f"data.roots=[{comb_musdb}]", "trainer.max_epochs=1", "callbacks.ema.decay=0.5")
    return run


@pytest.fixture
def finetune(comb_musdb: Path, plain_songs: Path) -> list[str]:
    """Overrides of a fine-tuning that improves on the teacher within an epoch."""
    return [
        "experiment=semi_supervised",
        *SINGLE,
        f"data.roots=[{comb_musdb}]",
        f"data.unlabelled=[{plain_songs}]",
        "callbacks.ema.decay=0.5",
    ]


def test_the_student_replaces_the_teacher_and_separates(
    teacher: Path, finetune: list[str], tmp_path: Path, run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    run = tmp_path / "run"
    overrides = [*TINY, *finetune, f"teacher={teacher}", "trainer.max_epochs=2"]
    done = run_script("train", *overrides, f"hydra.run.dir={run}")
    assert done.returncode == 0, done.stderr
    log = (run / "train.log").read_text()
    first = float(log.partition("the teacher validates with ")[2].split()[0])
    assert f"usdr{first:.3f}" in best_checkpoint(teacher).name  # the student began as the teacher, to the last digit
    assert "replaces the teacher: " in log
    best = torch.load(best_checkpoint(run), weights_only=True)
    state = best["callbacks"]["Teacher"]
    assert state.keys() == {"usdr", "weights"}  # what runs of other versions go on with
    assert f"usdr{state['usdr']:.3f}" in best_checkpoint(run).name
    assert state["usdr"] > first
    assert state["weights"].keys() == {name.removeprefix("network.") for name in best["state_dict"]}
    assert all(value.equal(best["state_dict"][f"network.{name}"]) for name, value in state["weights"].items())
    assert Separator.from_pretrained(run, "cpu").targets == ("bass",)


def test_a_run_that_goes_on_keeps_the_teacher_and_needs_no_file_of_it(
    teacher: Path, finetune: list[str], tmp_path: Path
) -> None:
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    tiny_run(whole, *finetune, f"teacher={teacher}", "trainer.max_epochs=2")
    copy = shutil.copytree(teacher, tmp_path / "gone")
    tiny_run(halved, *finetune, f"teacher={copy}", "trainer.max_epochs=1")
    shutil.rmtree(copy)
    tiny_run(halved, *finetune, f"teacher={copy}", "trainer.max_epochs=2", "ckpt_path=last")  # the same command
    one, two = (torch.load(run / "weights/last.ckpt", weights_only=True) for run in (whole, halved))
    for name, value in one["current_model_state"].items():
        assert value.equal(two["current_model_state"][name])
    states = [ckpt["callbacks"]["Teacher"] for ckpt in (one, two)]
    assert states[0]["usdr"] == states[1]["usdr"]
    assert all(value.equal(states[1]["weights"][name]) for name, value in states[0]["weights"].items())


def test_the_crops_of_a_step_are_those_of_both_kinds(
    teacher: Path, finetune: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "demixer")
    tiny_run(tmp_path, *finetune, f"teacher={teacher}", "trainer.max_epochs=1", "learning_rate.rule=linear")
    assert f"learning rate {1e-2 * 4 / 16:g} for a global batch of 4 (rule: linear)" in caplog.text


@pytest.mark.parametrize("order", [1, -1])
def test_student_average_and_teacher_begin_alike_in_any_order_of_the_callbacks(
    teacher: Path,
    finetune: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    order: int,
) -> None:
    caplog.set_level("INFO", "demixer.training.teacher")
    monkeypatch.setattr("demixer.training.train.build_all", lambda cfg: build_all(cfg)[::order])
    short = ["data.samples_per_epoch=2", "trainer.max_epochs=1", "optimizer.lr=0"]  # it learns nothing
    tiny_run(tmp_path, *finetune, f"teacher={teacher}", *short)
    last = torch.load(tmp_path / "weights" / "last.ckpt", weights_only=True)
    expected = torch.load(best_checkpoint(teacher), weights_only=True)["state_dict"]
    for name, value in expected.items():
        assert value.equal(last["state_dict"][name])
        assert value.equal(last["current_model_state"][name])
        assert value.equal(last["callbacks"]["Teacher"]["weights"][name.removeprefix("network.")])
    first = caplog.text.partition("the teacher validates with ")[2].split()[0]  # the average's, before any step
    assert f"usdr{first}." in best_checkpoint(teacher).name
    assert "replaces" not in caplog.text


def test_the_order_of_the_callbacks_changes_nothing(
    teacher: Path, finetune: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics, weights = [], []
    for order in (1, -1):
        monkeypatch.setattr("demixer.training.train.build_all", lambda cfg, order=order: build_all(cfg)[::order])
        run = tmp_path / str(order)
        metrics.append(tiny_run(run, *finetune, f"teacher={teacher}", "trainer.max_epochs=2")["val/usdr"])
        last = torch.load(run / "weights" / "last.ckpt", weights_only=True)
        weights.append({**last["state_dict"], **last["callbacks"]["Teacher"]["weights"]})
    assert metrics[0] == metrics[1]
    assert all(value.equal(weights[1][name]) for name, value in weights[0].items())


def test_two_processes_teach_as_one_does(
    teacher: Path, finetune: list[str], tmp_path: Path, run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    common = [*finetune, f"teacher={teacher}", "data.samples_per_epoch=8", "trainer.max_epochs=1", "optimizer.lr=1e-3"]
    tiny_run(tmp_path / "one", *common)
    ddp = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "data.batch_size=1"]
    done = run_script("train", *TINY, *common, *ddp, f"hydra.run.dir={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    assert "replaces the teacher: " in (tmp_path / "two" / "train.log").read_text()
    loss_one, loss_two = (scalars(tmp_path / name, "train/loss") for name in ("one", "two"))
    assert len(loss_one) == 4
    assert loss_two == pytest.approx(loss_one, abs=5e-5)
    one, two = (torch.load(tmp_path / name / "weights" / "last.ckpt", weights_only=True) for name in ("one", "two"))
    assert two["callbacks"]["Teacher"]["usdr"] == pytest.approx(one["callbacks"]["Teacher"]["usdr"], abs=0.01)


def test_the_data_module_is_built_with_the_teacher_that_learns(plain_songs: Path, tmp_path: Path) -> None:
    songs = ["data.roots=[/nowhere]", f"data.unlabelled=[{plain_songs}]"]
    cfg = composed(tmp_path, "experiment=semi_supervised", "teacher=/nowhere", *songs)
    callbacks = build_all(cfg.callbacks)
    (teacher,) = (one for one in callbacks if isinstance(one, Teacher))
    assert build_data(cfg, callbacks).label.__self__ is teacher  # no copy of it


def test_a_network_of_all_targets_is_taught_too(comb_musdb: Path, plain_songs: Path, tmp_path: Path) -> None:
    short = ["target=all", f"data.roots=[{comb_musdb}]", "data.samples_per_epoch=4", "data.batch_size=2"]
    tiny_run(tmp_path / "teacher", *short, "trainer.max_epochs=1")
    metrics = tiny_run(
        tmp_path / "run",
        "experiment=semi_supervised",
        *short,
        f"teacher={tmp_path / 'teacher'}",
        f"data.unlabelled=[{plain_songs}]",
        "trainer.max_epochs=1",
    )
    assert metrics.keys() >= {"val/usdr_vocals", "val/usdr_other", "train/loss"}


class TestMistakes:
    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            (["teacher=null"], "`teacher` is missing"),
            (["teacher=/nowhere"], "no model at `/nowhere`"),
            (["init=/nowhere"], "the student begins as the teacher, leave `init` out"),
            (["target=drums"], "estimates bass, but `target` is drums: give target=bass"),
            (["data.unlabelled=[null]"], r"no songs without stems: set `data.unlabelled=\[FOLDER\]`"),
            (["data=musdb18hq"], "set data=semi_supervised"),
            (["callbacks=default"], "nobody labels the songs without stems: set callbacks=semi_supervised"),
            (["callbacks.teacher=null"], "nobody labels the songs without stems: set callbacks=semi_supervised"),
        ],
    )
    def test_each_is_named(self, teacher, finetune, tmp_path, overrides, message):
        if overrides == ["data=musdb18hq"]:
            finetune = [one for one in finetune if not one.startswith("data.unlabelled")]
        with pytest.raises(UserError, match=message):
            tiny_run(tmp_path / "run", *finetune, f"teacher={teacher}", *overrides)

    def test_a_teacher_with_random_weights_is_none(self, finetune, tmp_path):
        groups = ["callbacks=semi_supervised", "data=semi_supervised"]
        with pytest.raises(UserError, match=r"`teacher` is missing: set experiment=semi_supervised teacher=RUN_DIR"):
            tiny_run(tmp_path / "run", *groups, *finetune[1:])

    def test_a_teacher_of_several_targets_is_asked_for_by_all_of_them(self, tmp_path):
        hparams = {**TINY_HPARAMS, "targets": ["vocals", "bass"]}
        write_hparams(tmp_path, hparams)
        write_weights(tmp_path / "weights.safetensors", build_network(hparams).state_dict())
        cfg = composed(tmp_path, "experiment=semi_supervised", f"teacher={tmp_path}")
        with pytest.raises(UserError, match=r"give target\.targets=\[vocals,bass\]"):
            adopt_settings(cfg, "teacher")
