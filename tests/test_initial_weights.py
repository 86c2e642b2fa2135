"""A run that begins with a trained network has its sizes and weights, and says what does not fit."""

import shutil
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from song_files import TINY_HPARAMS
from tiny_runs import composed, tiny_run

from demixer.checkpoints.hparams import read_hparams, write_hparams
from demixer.checkpoints.locating import best_checkpoint
from demixer.checkpoints.weights import write_weights
from demixer.errors import UserError
from demixer.model.building import build_network
from demixer.training.initial_weights import adopt_settings, load_initial

SHORT = ["target=bass", "data.samples_per_epoch=8", "data.batch_size=2", "trainer.max_epochs=1"]


@pytest.fixture(scope="module")
def trained(comb_musdb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("trained") / "run"
    tiny_run(run, *SHORT, f"data.roots=[{comb_musdb}]", "model.features=8", "model.dropout=0.1", "optimizer.lr=1e-2")
    return run


@pytest.fixture
def short(comb_musdb: Path) -> list[str]:
    return [*SHORT, f"data.roots=[{comb_musdb}]"]


def last(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "weights" / "last.ckpt", weights_only=True)["state_dict"]


def test_it_validates_as_what_it_began_with(trained: Path, short: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    metrics = tiny_run(run, *short, f"init={trained}", "optimizer.lr=0")  # learns nothing
    assert f"usdr{metrics['val/usdr']:.3f}" in best_checkpoint(trained).name
    assert read_hparams(run) == read_hparams(trained)


def test_it_goes_on_from_its_own_checkpoint(trained: Path, short: list[str], tmp_path: Path) -> None:
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    tiny_run(whole, *short, f"init={trained}", "trainer.max_epochs=2")
    copy = shutil.copytree(trained, tmp_path / "gone")
    tiny_run(halved, *short, f"init={copy}")
    shutil.rmtree(copy)
    tiny_run(halved, *short, f"init={copy}", "trainer.max_epochs=2", f"ckpt_path={halved / 'weights/last.ckpt'}")
    one, two = last(whole), last(halved)
    assert all(value.equal(two[name]) for name, value in one.items())


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["init=/nowhere"], "no model at `/nowhere`"),
        (
            ["model.features=9"],
            r"`model\.features` \(=9\) does not go with `init` \(=.*\), where it is 8: leave it out",
        ),
        (["model=obsrnn_small"], r"`model\.\S+` \(=.*\) does not go with `init`"),
        (["model.mask.hidden_layers=2"], r"`model\.mask\.hidden_layers` \(=2\) does not go with .* where it is 1"),
        (["featurizer.hop_samples=512"], r"`featurizer\.hop_samples` \(=512\) does not go with .* where it is 1024"),
        (["target.bands_hz=[[1000,200]]"], r"`target\.bands_hz` \(=\[\[1000, 200\]\]\) does not go with"),
    ],
)
def test_what_does_not_fit_is_named(trained, short, tmp_path, overrides, message) -> None:
    with pytest.raises(UserError, match=message) as refusal:
        tiny_run(tmp_path / "run", *short, f"init={trained}", *overrides)
    assert "\n" not in str(refusal.value)


def adopted(tmp_path: Path, trained: Path, *given: str) -> DictConfig:
    cfg = composed(tmp_path, *given, f"init={trained}")
    adopt_settings(cfg, "init", given)
    return cfg


def test_what_no_weight_depends_on_can_be_set_and_the_rest_repeated(trained: Path, tmp_path: Path) -> None:
    assert adopted(tmp_path, trained).model.dropout == 0.1  # its own
    cfg = adopted(tmp_path, trained, "model.dropout=0.3", "model.compile=true", "model.features=8", "target=bass")
    assert (cfg.model.dropout, cfg.model.compile, cfg.model.features) == (0.3, True, 8)
    assert cfg.target.bands_hz == read_hparams(trained)["bands_hz"]  # not those of conf/target


def test_a_recipe_sets_only_what_is_no_network(trained: Path, tmp_path: Path) -> None:
    """Nobody has asked for the sizes in an experiment's file."""
    cfg = adopted(tmp_path, trained, "experiment=shipped_tuned", "target=bass")
    assert (cfg.model.features, cfg.trainer.max_steps) == (8, 3250)


def test_another_target_takes_the_split_and_the_sequence(
    trained: Path, short: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, frozen = tmp_path / "run", "optimizer.lr=0"
    tiny_run(run, *short, "target=drums", f"init={best_checkpoint(trained)}", frozen)
    before, after = torch.load(best_checkpoint(trained), weights_only=True)["state_dict"], last(run)
    same = {name for name, value in before.items() if torch.allclose(value, after[name], atol=1e-6)}
    assert {name for name in before if "mask.estimators" not in name} <= same
    assert any("mask.estimators" in name for name in before.keys() - same)
    assert "estimates bass: the band split and the sequence are taken from it, the masks of drums begin" in caplog.text
    assert read_hparams(run)["targets"] == ["drums"]
    assert read_hparams(run)["bands_hz"] == read_hparams(trained)["bands_hz"]


@pytest.mark.parametrize("theirs", [["vocals"], ["bass", "vocals"], ["other", "vocals", "drums"]])
@pytest.mark.parametrize("ours", [["vocals"], ["vocals", "guitar"], ["drums", "vocals", "bass", "other"]])
def test_the_masks_of_targets_that_both_have_are_taken(theirs: list[str], ours: list[str], tmp_path: Path) -> None:
    hparams = {**TINY_HPARAMS, "targets": theirs}
    trained, network = build_network(hparams), build_network({**TINY_HPARAMS, "targets": ours})
    fresh = {name: value.clone() for name, value in network.state_dict().items()}
    write_hparams(tmp_path, hparams)
    write_weights(tmp_path / "weights.safetensors", trained.state_dict(), torch.float32)
    load_initial(network, "init", tmp_path)
    for place, target in enumerate(ours):
        for name, value in network.bandsplitrnn.mask.estimators[place].state_dict().items():
            if target in theirs:
                expected = trained.bandsplitrnn.mask.estimators[theirs.index(target)].state_dict()[name]
            else:
                expected = fresh[f"bandsplitrnn.mask.estimators.{place}.{name}"]
            assert value.equal(expected)
    for part in ("split", "sequence"):
        own, other = (getattr(one.bandsplitrnn, part).state_dict() for one in (network, trained))
        assert all(value.equal(other[name]) for name, value in own.items())
