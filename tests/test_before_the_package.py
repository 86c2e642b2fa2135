"""Models that were written before there was a package: they go on loading, and their stems stay what they were."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_runs import go_on

from demixer.checkpoints.hparams import read_hparams
from demixer.checkpoints.locating import best_checkpoint
from demixer.checkpoints.records import read_record
from demixer.errors import UserError
from demixer.evaluation.evaluating import Settings, evaluate
from demixer.model.building import build_network
from demixer.model.converting import convert
from demixer.separation.separator import Separator

OLD_DIR = Path(__file__).parent / "before_the_package"
CONVERTED = ["converted_amanteur", "converted_crlandsc"]
SWITCHES = {"norm_groups", "joint_channels", "fixed_frames", "standardised"}


def bass(model: Path) -> torch.Tensor:
    separator = Separator.from_pretrained(model, device="cpu", precision="fp32")
    assert separator.targets == ("bass",)
    return separator(torch.randn(2, 1000, generator=torch.Generator().manual_seed(0)) * 0.1)["bass"]


@pytest.mark.parametrize("name", ["run", *CONVERTED])
def test_old_models_give_the_stems_that_they_gave(name: str) -> None:
    expected = torch.from_numpy(np.load(OLD_DIR / name / "expected.npy"))
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(bass(OLD_DIR / name), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", CONVERTED)
def test_what_is_converted_again_has_the_present_settings(tmp_path: Path, name: str) -> None:
    convert(OLD_DIR / name, tmp_path / "new")
    model = read_hparams(tmp_path / "new")["model"]
    assert (model["architecture"], model["frames"]) == ("fixed_window", 9)
    assert model["frames_last"] == (name == "converted_crlandsc")
    assert not model.keys() & SWITCHES
    assert torch.equal(bass(tmp_path / "new"), bass(OLD_DIR / name))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "conformer"}, r"`model\.architecture` \(='conformer'\) must be one of bandsplitrnn, "),
        ({"architecture": ["bandsplitrnn"]}, r"`model\.architecture` \(=\['bandsplitrnn'\]\) must be one of"),
        ({"frames": 9}, "`model` has no setting 'frames'"),
        ({"norm_groups": "features"}, "`model` has no setting 'norm_groups'"),  # one switch makes no known network
        ({"architecture": "fixed_window"}, r"`model\.frames` \(=None\) must be given"),
    ],
)
def test_settings_of_no_network_are_refused_in_a_line(tmp_path: Path, changes: dict, message: str) -> None:
    hparams = read_hparams(OLD_DIR / "run")
    hparams["model"] = {"features": 4, "repeats": 1} | changes
    with pytest.raises(UserError, match=message) as refusal:
        build_network(hparams)
    assert "\n" not in str(refusal.value)
    (tmp_path / "hparams.yaml").write_text(yaml.safe_dump(hparams))
    weights = (OLD_DIR / CONVERTED[0] / "weights.safetensors").read_bytes()
    (tmp_path / "weights.safetensors").write_bytes(weights)
    with pytest.raises(UserError, match=message):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")


def test_an_old_run_goes_on_is_evaluated_and_separates(
    tmp_path: Path, comb_musdb: Path, run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Its record names classes where they once stood, and files that Hydra's grammar does not take."""
    run = Path(shutil.copytree(OLD_DIR / "run", tmp_path / "run"))
    last = run / "weights" / "last.ckpt"
    settings = [f"data.roots=[{comb_musdb}]", "trainer.max_epochs=3"]
    done = run_script("train", f"ckpt_path={last}", *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    before, after = (torch.load(one, weights_only=True) for one in (OLD_DIR / "run" / "weights" / "last.ckpt", last))
    assert (before["global_step"], after["global_step"]) == (4, 6)
    assert (run / "hydra" / "config.yaml").read_bytes() == (OLD_DIR / "run" / "hydra" / "config.yaml").read_bytes()
    record = read_record(run)
    assert record.settings.data["_target_"] == "demixer.data.datamodule.MusicDataModule"
    assert record.setting("data.roots") == [str(comb_musdb)]
    assert record.setting("data.batch_size") == 2  # its own
    assert f"  data.roots: ['/data/musdb18hq'] → ['{comb_musdb}']" in (run / "train.log").read_text()
    assert any(file.name.startswith("epoch002-step000006-usdr") for file in last.parent.iterdir())
    with pytest.raises(UserError, match=r"`model\.features` \(4 → 8\) cannot change"):
        go_on(run, "model.features=8", ckpt_path=last)
    assert evaluate(run, settings=Settings("cpu"), report=False).songs == ["Dune"]  # on the songs of the record
    assert bass(run).isfinite().all()


@pytest.mark.parametrize(
    ("names", "best"),
    [
        (["epoch=001-step=000004-usdr=-0.880", "epoch002-step000006-usdr-0.870", "last"], 1),
        (["epoch=001-step=000004-usdr=4.880", "epoch002-step000006-usdr4.870", "last"], 0),
    ],
)
def test_scores_are_read_from_old_and_new_names(tmp_path: Path, names: list[str], best: int) -> None:
    (tmp_path / "weights").mkdir()
    for name in names:
        (tmp_path / "weights" / f"{name}.ckpt").touch()
    assert best_checkpoint(tmp_path).stem == names[best]


def test_the_papers_network_is_what_no_architecture_means() -> None:
    hparams = read_hparams(OLD_DIR / "run")
    named = {**hparams, "model": {**hparams["model"], "architecture": "bandsplitrnn"}}
    keys, same = (build_network(settings).state_dict().keys() for settings in (hparams, named))
    assert keys == same


SETTINGS = [
    *("target=bass", "target.bands_hz=[[1000,250],[4000,1500],[16000,6000]]", "model=bandsplitrnn_small"),
    *("model.features=4", "model.repeats=1", "model.rnn_factor=1", "model.mask.hidden_factor=1"),
    *("featurizer.n_fft=512", "featurizer.hop_samples=256", "augmentations=none", "data.sad=false"),
    *("data.preload=true", "data.num_workers=0", "data.crop_seconds=0.5", "data.samples_per_epoch=4"),
    *("data.batch_size=2", "trainer.accelerator=cpu", "trainer.devices=1", "callbacks.listen.songs=0"),
]
AFTER_SIX_STEPS = {"state_dict": 2163.66462, "current_model_state": 2161.98212}  # four of them by old code


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD_DIR / "run", tmp_path / "run"))


def test_an_old_run_goes_on_as_the_old_code_would_have(comb_musdb: Path, run_dir: Path) -> None:
    last = run_dir / "weights" / "last.ckpt"
    go_on(run_dir, *SETTINGS, f"data.roots=[{comb_musdb}]", "trainer.max_epochs=3", ckpt_path=last)
    content = torch.load(last, weights_only=True)
    assert content["global_step"] == 6
    sums = {name: sum(w.double().abs().sum().item() for w in content[name].values()) for name in AFTER_SIX_STEPS}
    assert sums == pytest.approx(AFTER_SIX_STEPS, rel=1e-6)


def test_an_old_run_is_evaluated_and_separates(run_script: Callable, comb_musdb: Path, run_dir: Path) -> None:
    done = run_script("evaluate", "-d", run_dir, "-i", comb_musdb, "--device", "cpu", "--no-report")
    assert done.returncode == 0, done.stderr
    assert "Dune" in done.stdout
    song = comb_musdb / "test" / "Dune" / "mixture.wav"
    done = run_script("inference", "-i", song, "-o", run_dir / "out", "-c", run_dir, "-d", "cpu")
    assert done.returncode == 0, done.stderr
    assert [file.name for file in (run_dir / "out").glob("*.wav")] == ["mixture_bass.wav"]
