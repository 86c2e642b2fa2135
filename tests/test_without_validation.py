"""A run that trains on every song has nothing to validate on: it says so, saves its weights, and is a model."""

import logging
from pathlib import Path

import pytest
import torch
from tiny_runs import tiny_run

from demixer.checkpoints.locating import best_checkpoint
from demixer.datasets.tracks import find_tracks
from demixer.separation.separator import Separator

SHORT = ["data.valid=[]", "data.samples_per_epoch=4", "data.batch_size=2", "trainer.max_epochs=2"]


def test_training_on_all_songs_ends_with_its_last_weights(
    comb_musdb: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    metrics = tiny_run(tmp_path, *SHORT, f"data.roots=[{comb_musdb}]")
    assert "val/usdr" not in metrics
    assert [line for line in caplog.messages if line.startswith("no song is validated on")]
    assert {file.name for file in (tmp_path / "weights").iterdir()} == {"last.ckpt"}
    assert best_checkpoint(tmp_path).name == "last.ckpt"
    assert torch.load(tmp_path / "weights/last.ckpt", weights_only=True)["global_step"] == 4
    assert Separator.from_pretrained(tmp_path, "cpu").targets == ("vocals", "drums", "bass", "other")
    assert len(find_tracks(comb_musdb, subset="train")) == 4


def test_a_teacher_without_validation_teaches_to_the_end(comb_musdb: Path, tmp_path: Path) -> None:
    tiny_run(tmp_path / "teacher", *SHORT, f"data.roots=[{comb_musdb}]")
    songs = tmp_path / "songs"
    songs.mkdir()
    (songs / "a.wav").symlink_to(next(comb_musdb.glob("test/*/mixture.wav")))
    names = [f"data.roots=[{comb_musdb}]", f"data.unlabelled=[{songs}]", f"teacher={tmp_path / 'teacher'}"]
    tiny_run(tmp_path / "run", "experiment=semi_supervised", *SHORT, *names)
    last = torch.load(tmp_path / "run/weights/last.ckpt", weights_only=True)
    first = torch.load(tmp_path / "teacher/weights/last.ckpt", weights_only=True)["state_dict"]
    taught = last["callbacks"]["Teacher"]["weights"]
    assert all(value.equal(first[f"network.{name}"]) for name, value in taught.items())  # nobody replaced it
    assert any(not value.equal(first[name]) for name, value in last["state_dict"].items())
