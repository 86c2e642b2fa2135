"""A run that begins with a trained network has its sizes and weights, and says what does not fit."""

from pathlib import Path

import pytest
import torch
from tiny_runs import tiny_run

from demixer.checkpoints.hparams import read_hparams
from demixer.checkpoints.locating import best_checkpoint
from demixer.errors import UserError

SHORT = ["target=bass", "data.samples_per_epoch=8", "data.batch_size=2", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def trained(comb_musdb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    tiny_run(run, *SHORT, f"data.roots=[{comb_musdb}]", "model.features=8", "optimizer.lr=1e-2")
    return run


@pytest.fixture
def short(comb_musdb: Path) -> list[str]:
    return [*SHORT, f"data.roots=[{comb_musdb}]"]


def test_it_validates_as_what_it_began_with(trained: Path, short: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    metrics = tiny_run(run, *short, f"init={trained}", "model.features=9", "optimizer.lr=0")  # learns nothing
    assert f"usdr{metrics['val/usdr']:.3f}" in best_checkpoint(trained).name
    assert read_hparams(run) == read_hparams(trained)


def test_it_goes_on_from_its_own_checkpoint(trained: Path, short: list[str], tmp_path: Path) -> None:
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    tiny_run(whole, *short, f"init={trained}", "trainer.max_epochs=2")
    tiny_run(halved, *short, f"init={trained}")
    tiny_run(halved, *short, "init=/gone", "trainer.max_epochs=2", f"ckpt_path={halved / 'weights/last.ckpt'}")
    one, two = (torch.load(run / "weights/last.ckpt", weights_only=True) for run in (whole, halved))
    assert all(value.equal(two["state_dict"][name]) for name, value in one["state_dict"].items())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["init=/nowhere"], "no model at `/nowhere`"),
        (["target=drums"], r"`init` \(=.*\) estimates bass, but `target` is drums: give target=bass"),
    ],
)
def test_what_does_not_fit_is_named(trained, short, tmp_path, overrides, message) -> None:
    with pytest.raises(UserError, match=message):
        tiny_run(tmp_path / "run", *short, f"init={trained}", *overrides)
