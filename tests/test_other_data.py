"""Any folder of songs: other sources, several roots, sources that some songs lack, 48 kHz, and bad files."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hydra.errors import MissingConfigException
from tiny_runs import composed, tiny_run

from demixer.data.datamodule import MusicDataModule
from demixer.errors import UserError
from demixer.model.building import build_network
from demixer.separation.separator import Separator
from demixer.sources import SOURCES
from demixer.training.module import SeparationModule
from demixer.training.runs import model_hparams

ONE_STEP = ["data.samples_per_epoch=2", "data.batch_size=2", "trainer.max_epochs=1"]


def write_stems(folder: Path, *stems: str, seconds: float = 1.0, rate_hz: int = 44100, channels: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(stems))
    for stem in stems:
        soundfile.write(folder / stem, 0.1 * rng.standard_normal((round(seconds * rate_hz), channels)), rate_hz)


@pytest.fixture
def own_songs(tmp_path: Path) -> list[Path]:
    """Two roots with other names, rates and formats; B lacks the guitar, C everything but it; notes is no song."""
    write_stems(tmp_path / "one/A", "guitar.wav", "piano.flac", "vocals.wav", "mixture.wav")
    write_stems(tmp_path / "one/B", "vocals.wav", "drums.wav")
    write_stems(tmp_path / "two/C", "guitar.flac", rate_hz=48000)
    write_stems(tmp_path / "two/D", "guitar.wav", "drums.wav", "other.wav")
    write_stems(tmp_path / "two/notes", "humming.wav")
    return [tmp_path / "one", tmp_path / "two"]


def roots(folders: list[Path]) -> str:
    return f"data.roots=[{','.join(map(str, folders))}]"


class TestNamesOfTargets:
    def test_a_name_without_a_file_gets_the_bands_of_other(self, tmp_path):
        guitar, other = (composed(tmp_path, f"target={name}").target for name in ("guitar", "other"))
        assert (guitar.name, guitar.targets) == ("guitar", ["guitar"])
        assert guitar.bands_hz == other.bands_hz

    def test_a_name_with_a_file_keeps_it(self, tmp_path):
        assert composed(tmp_path, "target=bass").target.bands_hz[0] == [500, 50]

    @pytest.mark.parametrize("override", ["target=a/b", "target=.hidden", "model=guitar"])
    def test_other_groups_and_impossible_names_keep_hydras_own_message(self, tmp_path, override):
        with pytest.raises(MissingConfigException, match=r"(?s)Could not find .*Available options in"):
            composed(tmp_path, override)

    def test_a_misspelt_target_is_told_what_stems_there_are(self, tmp_path, own_songs):
        with pytest.raises(
            UserError, match=r"`target` gitar: no song .* are vocals, drums, other, guitar, humming, pi"
        ):
            tiny_run(tmp_path / "run", "target=gitar", roots(own_songs))

    def test_a_root_that_does_not_exist_is_named(self, tmp_path):
        with pytest.raises(UserError, match=r"dataset folder `.*nowhere` does not exist"):
            tiny_run(tmp_path / "run", "target=guitar", roots([tmp_path / "nowhere"]))


class TestSources:
    def build(self, roots: list[Path], **options: object) -> MusicDataModule:
        defaults = {"targets": ["guitar"], "sad": False, "crop_seconds": 0.1, "batch_size": 8, "num_workers": 0}
        module = MusicDataModule(roots, **{**defaults, **options})
        module.setup("fit")
        return module

    def test_every_stem_of_the_songs_is_mixed_around_another_target(self, own_songs):
        module = self.build(own_songs, valid=["C"])
        assert module.sources == ("vocals", "drums", "other", "guitar", "piano")
        assert tuple(module.train_set.pools) == module.sources

    def test_a_stem_of_validation_songs_only_is_not_missed_in_training(self, own_songs):
        module = self.build(own_songs, valid=["A"])
        assert tuple(module.train_set.pools) == ("vocals", "drums", "other", "guitar")
        assert module.sources == ("vocals", "drums", "other", "guitar", "piano")
        assert module.valid_set[0]["sources"].abs().sum((1, 2)).bool().tolist() == [True, False, False, True, True]

    def test_a_chosen_source_that_no_training_song_has_is_an_error(self, own_songs):
        with pytest.raises(UserError, match="no training song has a segment of piano"):
            self.build(own_songs, sources=["guitar", "piano"], valid=["A"])

    def test_the_four_are_mixed_around_one_of_them(self, musdb_hq):
        assert self.build([musdb_hq], targets=["bass"]).sources == SOURCES

    def test_sources_can_be_chosen(self, own_songs):
        assert self.build(own_songs, sources=["guitar", "drums"]).sources == ("guitar", "drums")

    def test_only_songs_with_the_target_are_validated_on_and_all_others_trained_on(self, own_songs):
        module = self.build(own_songs, valid=["A", "B", "C"])
        assert module.valid_set.songs == ("A", "C")
        assert set(module.train_set.stems.tracks) == {"D"}

    def test_validation_songs_of_which_none_has_the_target_are_refused(self, own_songs):
        with pytest.raises(UserError, match=r"no song of `valid` \(=\['B'\]\) has a file of guitar"):
            self.build(own_songs, valid=["B"])

    def test_of_few_songs_one_with_the_target_is_held_out(self, own_songs):
        write_stems(own_songs[0] / "G", "drums.wav")  # of all songs this one would be chosen
        module = self.build(own_songs)
        assert module.valid_set.songs == ("D",)
        assert set(module.train_set.stems.tracks) == {"A", "B", "C"}

    def test_the_target_is_the_guitar_and_the_mixture_holds_it(self, own_songs):
        module = self.build(own_songs, valid=["A"])
        batch = module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0)
        guitar = batch["targets"][:, 0]
        rest = batch["mixture"] - guitar
        assert 0.05 < guitar.std() < 0.15  # noise at 0.1 in the files
        assert abs((guitar * rest).mean() / (guitar.std() * rest.std())) < 0.05


def test_a_silent_truth_does_not_count_in_the_validation():
    targets = ["guitar", "piano"]
    separate = {"guitar": torch.full((2, 100), 0.9), "piano": torch.full((2, 100), 0.5)}
    hparams = {
        "targets": targets,
        "bands_hz": [[4000, 1000]],
        "featurizer": {"n_fft": 256, "hop_samples": 64, "sample_rate_hz": 16000},
        "model": {"features": 4, "repeats": 1},
    }
    module = SeparationModule(build_network(hparams), None, None, None, "epoch", lambda mixture: separate)
    truth = torch.stack([torch.ones(2, 100), torch.zeros(2, 100)])[None]
    module.validation_step({"song": "A", "mixture": truth.sum(1), "targets": truth}, 0)
    guitar, piano = module._scores["A"]
    assert guitar == pytest.approx(20, abs=1e-3)
    assert np.isnan(piano)


def test_trains_a_guitar_from_two_roots(tmp_path, own_songs):
    metrics = tiny_run(tmp_path / "run", "target=guitar", roots(own_songs), "data.valid=[A]", *ONE_STEP)
    assert metrics["val/usdr_guitar"].isfinite()
    assert Separator.from_pretrained(tmp_path / "run", "cpu").targets == ("guitar",)


@pytest.mark.parametrize("target", ["vocals", "bass", "drums", "all", "guitar"])
def test_at_48_khz_the_bands_tile_every_bin_at_their_frequencies(tmp_path, target):
    cfg = composed(tmp_path, f"target={target}", "featurizer.sample_rate_hz=48000", "model.repeats=1")
    assert cfg.data.sample_rate_hz == 48000
    widths = build_network(model_hparams(cfg)).bandsplitrnn.split.table.widths
    assert sum(widths) == 1025
    rows, low_hz, first = cfg.target.bands_hz, 0, 0
    for up_to_hz, width_hz in rows:
        first += round((up_to_hz - low_hz) / width_hz)
        low_hz = up_to_hz
        assert 0 <= sum(widths[:first]) * 48000 / 2048 - up_to_hz < 48000 / 2048


def test_trains_and_separates_at_48_khz(tmp_path, own_songs):
    run = tmp_path / "run"
    tiny_run(run, "target=guitar", roots(own_songs), "data.valid=[C]", "featurizer.sample_rate_hz=48000", *ONE_STEP)
    separator = Separator.from_pretrained(run, "cpu")
    assert separator.sample_rate_hz == 48000
    assert separator(torch.zeros(2, 44100), 44100)["guitar"].shape == (2, 44100)


def test_bad_files_end_training_in_one_line_before_it_begins(
    tmp_path: Path, own_songs: list[Path], run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    write_stems(own_songs[0] / "E", "drums.wav")
    write_stems(own_songs[0] / "E", "guitar.wav", seconds=0.5)
    write_stems(own_songs[1] / "F", "guitar.wav", channels=3)
    (own_songs[1] / "D/drums.wav").write_bytes(b"")
    done = run_script("train", "target=guitar", roots(own_songs), "data.sad=false", f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() + done.stdout.splitlines() if "bad file(s)" in line]
    assert "3 bad file(s)" in line
    for name, reason in (("E/guitar.wav", "22050 frames"), ("F/guitar.wav", "3 channels"), ("D/drums.wav", "read")):
        assert f"{name}`: " in line, line
        assert reason in line, line
    assert not (tmp_path / "run/weights").exists()
