"""What a training run validates is what evaluate.py measures: the same songs count, to the last digit."""

import functools
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch
from test_pl_model import HPARAMS
from tiny_runs import TINY, scalars, tiny_run

from demixer.datasets.tracks import find_tracks
from demixer.errors import UserError
from demixer.evaluation.gallery import Gallery
from demixer.evaluation.results import Evaluation, summarise
from demixer.evaluation.scoring import measure
from demixer.model.building import build_network
from demixer.separation.separator import Separator
from demixer.sources import SOURCES
from demixer.training.module import SeparationModule

SHORT = ["data.samples_per_epoch=8", "data.batch_size=2", "trainer.max_epochs=1"]
THREE = ["Amber", "Birch", "Cedar"]


@pytest.fixture
def partly_silent(comb_musdb: Path, tmp_path: Path) -> Path:
    """The songs, of which one has no voice."""
    root = tmp_path / "songs"
    shutil.copytree(comb_musdb, root)
    vocals, rate_hz = soundfile.read(root / "train" / "Birch" / "vocals.wav")
    soundfile.write(root / "train" / "Birch" / "vocals.wav", 0 * vocals, rate_hz)
    return root


def test_the_validation_is_the_evaluation_to_the_last_digit(partly_silent: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    metrics = tiny_run(run, *SHORT, f"data.roots=[{partly_silent}]", f"data.valid=[{','.join(THREE)}]")
    separator = Separator.from_pretrained(run, "cpu", "fp32")
    tracks = [track for track in find_tracks([partly_silent], (*SOURCES, "mixture"), "train") if track.name in THREE]
    tracks.sort(key=lambda track: track.name != "Birch")  # the silent one first, which the mean must not mind
    scores = measure(separator, tracks, gallery := Gallery())
    summary = summarise(Evaluation({}, separator.targets, tuple(scores)))
    assert summary["vocals"]["songs_usdr"] == 2
    assert summary["bass"]["songs_usdr"] == 3
    assert "Birch" not in (gallery.best["vocals"].song, gallery.worst["vocals"].song)
    for target in separator.targets:
        assert metrics[f"val/usdr_{target}"].item() == summary[target]["usdr_db"]
    assert metrics["val/usdr"].item() == summary["mean"]["usdr_db"]


def test_three_songs_on_two_processes_are_validated_as_on_one(
    comb_musdb: Path, tmp_path: Path, run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    same = [*SHORT, "optimizer.lr=0", "callbacks.listen.songs=0", f"data.valid=[{','.join(THREE)}]"]
    same.append(f"data.roots=[{comb_musdb}]")
    tiny_run(tmp_path / "one", *same)
    ddp = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "data.batch_size=1"]
    done = run_script("train", *TINY, *same, *ddp, f"hydra.run.dir={tmp_path / 'two'}")
    assert done.returncode == 0, done.stderr
    for tag in ("val/usdr", *(f"val/usdr_{source}" for source in SOURCES)):
        assert scalars(tmp_path / "two", tag) == scalars(tmp_path / "one", tag)


def module_that_estimates(stems: dict[str, torch.Tensor]) -> SeparationModule:
    return SeparationModule(build_network(HPARAMS), None, None, None, "epoch", lambda mixture: stems)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_estimate_that_is_not_finite_is_refused(value: float, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = torch.ones(2, 100), torch.ones(2, 100)
    bad[1, 50] = value
    module = module_that_estimates({"vocals": good, "drums": bad})
    monkeypatch.setattr(SeparationModule, "trainer", type("Trainer", (), {"world_size": 1}))
    truth = torch.ones(1, 2, 2, 100)
    assert module.validation_step({"song": "Amber", "mixture": truth.sum(1), "targets": truth}, 0) is None
    with pytest.raises(UserError, match="the model's `drums` of song `Amber` is not finite: its weights are broken"):
        module.on_validation_epoch_end()


def test_a_run_whose_estimates_break_ends_with_that_line(
    comb_musdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = functools.partial(torch.full_like, fill_value=float("nan"))
    monkeypatch.setattr("demixer.separation.separator.overlap_add", lambda blocks, *_: map(as_stems(broken), blocks))
    with pytest.raises(UserError, match="the model's `vocals` of song `Triviul - Angelsaint` is not finite"):
        tiny_run(tmp_path / "run", *SHORT, f"data.roots=[{comb_musdb}]")
    assert not list((tmp_path / "run").glob("weights/*usdr*"))


def as_stems(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda block: change(block.expand(4, *block.shape))
