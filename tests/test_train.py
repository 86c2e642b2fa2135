"""train.py as a user runs it: it learns, goes on after a kill, runs on two processes, and says what is wrong."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_runs import TINY, go_on, scalars, tiny_run

from demixer.checkpoints.locating import best_checkpoint
from demixer.errors import UserError
from demixer.paths import SRC_DIR
from demixer.separation.separator import Separator
from demixer.sources import SOURCES

Run = subprocess.CompletedProcess[str]


@pytest.fixture
def train(run_script: Callable[..., Run], comb_musdb: Path, tmp_path: Path) -> Callable[..., Run]:
    def run(run_dir: Path, *overrides: str) -> Run:
        return run_script("train", *TINY, f"data.roots=[{comb_musdb}]", f"hydra.run.dir={run_dir}", *overrides)

    return run


def test_learns_is_evaluated_and_separates(
    train: Callable[..., Run], run_script: Callable[..., Run], comb_musdb: Path, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    done = train(
        run_dir,
        "data.samples_per_epoch=8",
        "data.batch_size=2",
        "trainer.max_epochs=8",
        "optimizer.lr=1e-2",
        "callbacks.ema.decay=0.5",
    )
    assert done.returncode == 0, done.stderr
    usdr = scalars(run_dir, "val/usdr")
    assert max(usdr) - usdr[0] > 5, usdr
    log = (run_dir / "train.log").read_text()
    assert "parameters" in log
    assert "torch 2.11.0" in log
    assert "commit " in log
    weights = {file.name for file in (run_dir / "weights").iterdir()}
    assert "last.ckpt" in weights
    assert f"usdr{max(usdr):.3f}" in best_checkpoint(run_dir).name
    tags = EventAccumulator(str(run_dir / "tb_logs"))
    tags.Reload()
    assert {"train/loss", "train/gradient_norm", "val/usdr_bass", "lr-Adam"} <= set(tags.Tags()["scalars"])
    assert len(tags.Tags()["audio"]) == 9  # mixture, and truth and estimate of four targets
    heard = {name.rpartition("/")[2]: len(tags.Audio(name)) for name in tags.Tags()["audio"]}
    assert (heard["mixture"], heard["bass"]) == (1, 1)  # they do not change
    assert heard["bass, estimated"] == 4  # of eight: more TensorBoard's reader does not keep
    assert len(tags.Tags()["images"]) == 1

    evaluated = run_script("evaluate", "-d", run_dir, "-i", comb_musdb, "--device", "cpu")
    assert evaluated.returncode == 0, evaluated.stderr
    assert (run_dir / "test.log").is_file()

    song = comb_musdb / "test" / "Dune" / "mixture.wav"
    separated = run_script("inference", "-i", song, "-o", tmp_path / "out", "-c", run_dir, "-d", "cpu")
    assert separated.returncode == 0, separated.stderr
    assert {file.name for file in (tmp_path / "out").glob("*.wav")} == {f"mixture_{target}.wav" for target in SOURCES}


RESUMABLE = [
    "data.samples_per_epoch=12",
    "data.batch_size=2",
    "trainer.max_epochs=3",
    "model.dropout=0.3",  # draws from the global random state in every step
    "augmentations=paper",
    "callbacks.last.every_n_train_steps=2",
    "callbacks.listen.songs=0",
    "data.max_valid_songs=1",
]


def test_killed_twice_ends_with_the_same_weights(train: Callable[..., Run], comb_musdb: Path, tmp_path: Path) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert train(whole, *RESUMABLE).returncode == 0
    command = [sys.executable, SRC_DIR / "train.py", *TINY, f"data.roots=[{comb_musdb}]", f"hydra.run.dir={killed}"]
    for steps in (4, 10):  # the first within an epoch, the second too
        kill_after(steps, [*command, *RESUMABLE, *(["ckpt_path=last"] if steps > 4 else [])], killed)
    resumed = train(killed, *RESUMABLE, "ckpt_path=last")
    assert resumed.returncode == 0, resumed.stderr
    for name in ("current_model_state", "state_dict"):  # the raw weights, and their moving average
        expected, got = (torch.load(run / "weights" / "last.ckpt", weights_only=True)[name] for run in (whole, killed))
        assert expected.keys() == got.keys()
        assert all(torch.equal(expected[key], got[key]) for key in expected)


def kill_after(steps: int, command: list, run_dir: Path) -> None:
    """Run a training and kill it as soon as a checkpoint of that step is there."""
    last = run_dir / "weights" / "last.ckpt"
    process = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    try:
        while time.monotonic() < deadline and process.poll() is None:
            if last.is_file() and torch.load(last, weights_only=True)["global_step"] >= steps:
                break
            time.sleep(0.02)
        assert process.poll() is None, "the run ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def test_a_run_that_ends_before_a_validation_says_so(
    comb_musdb: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = ["data.samples_per_epoch=8", "data.batch_size=2", "trainer.max_steps=3"]
    tiny_run(tmp_path / "run", f"data.roots=[{comb_musdb}]", *short)
    assert "`trainer.max_steps` (=3) ends 3 steps after a validation" in caplog.text
    assert (tmp_path / "run" / "weights" / "last.ckpt").is_file()


ROFORMER = ["model=mel_band_roformer_small", "model.mel_bands=12", "model.heads=2", "model.head_width=4"]


@pytest.mark.parametrize("model", [[], ROFORMER], ids=["rnn", "roformer"])
def test_two_processes_compute_the_same_loss_as_one(
    train: Callable[..., Run], comb_musdb: Path, tmp_path: Path, model: list[str]
) -> None:
    same = [
        *model,
        "data.samples_per_epoch=16",
        "trainer.max_epochs=1",
        "callbacks.listen.songs=0",
    ]
    one, two = tmp_path / "one", tmp_path / "two"
    tiny_run(one, f"data.roots=[{comb_musdb}]", *same, "data.batch_size=4")
    ddp = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "data.batch_size=2"]
    done = train(two, *same, *ddp)
    assert done.returncode == 0, done.stderr
    loss_one, loss_two = scalars(one, "train/loss"), scalars(two, "train/loss")
    assert len(loss_one) == len(loss_two) == 4
    assert loss_two == pytest.approx(loss_one, abs=1e-5)


def test_an_impossible_setting_is_one_line_and_no_success(train: Callable[..., Run], tmp_path: Path) -> None:
    done = train(tmp_path / "run", "model.rnn=conv")
    assert done.returncode == 2
    assert "`model.rnn` (='conv') must be one of" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_without_a_dataset_one_line_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^no dataset folder: set the environment variable MUSDB_DIR.*$"):
        tiny_run(tmp_path / "run", "data.roots=null")


def test_bf16_and_accumulated_gradients(comb_musdb: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "demixer")
    settings = ["trainer.accumulate_grad_batches=2", f"data.roots=[{comb_musdb}]"]
    small = ["data.samples_per_epoch=16", "data.batch_size=2", "trainer.max_epochs=1"]
    for precision in ("bf16-mixed", "32-true"):
        tiny_run(tmp_path / precision, *settings, *small, f"trainer.precision={precision}")
    rounded, exact = (scalars(tmp_path / precision, "train/loss") for precision in ("bf16-mixed", "32-true"))
    assert len(rounded) == len(exact) == 4  # 8 batches, two in a step
    differences = [abs(a - b) / b for a, b in zip(rounded, exact, strict=True)]
    assert 1e-6 < max(differences) < 0.02  # products have 8 bits, and the rest has not
    assert caplog.text.count("for a global batch of 4") == 2


def test_gradients_of_parts_are_those_of_the_whole_batch(comb_musdb: Path, tmp_path: Path) -> None:
    small = ["data.samples_per_epoch=16", "trainer.max_epochs=1", f"data.roots=[{comb_musdb}]"]
    tiny_run(tmp_path / "whole", *small, "data.batch_size=4")
    tiny_run(tmp_path / "parts", *small, "data.batch_size=2", "trainer.accumulate_grad_batches=2")
    for tag in ("train/loss", "train/gradient_norm"):
        assert scalars(tmp_path / "parts", tag) == pytest.approx(scalars(tmp_path / "whole", tag), rel=1e-3)


@pytest.mark.slow  # torch's compiler
def test_a_compiled_network_learns_as_the_plain_one(
    train: Callable[..., Run], comb_musdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "kernels"))
    small = ["data.samples_per_epoch=4", "data.batch_size=2", "trainer.max_epochs=1", "callbacks.listen.songs=0"]
    small += ["target=bass", "target.bands_hz=[[16000,8000]]", "model.features=8"]
    tiny_run(tmp_path / "false", f"data.roots=[{comb_musdb}]", *small, "model.compile=false")
    assert not any((tmp_path / "kernels").rglob("*.so"))
    done = train(tmp_path / "true", *small, "model.compile=true")
    assert done.returncode == 0, done.stderr
    assert any((tmp_path / "kernels").rglob("*.so"))
    compiled, plain = (scalars(tmp_path / name, "train/loss") for name in ("true", "false"))
    assert compiled == pytest.approx(plain, rel=1e-3)
    assert Separator.from_pretrained(tmp_path / "true", "cpu").targets == ("bass",)


def test_nothing_to_go_on_with_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^.*there is no run to go on with, start one without ckpt_path.*$"):
        go_on(tmp_path / "run")


def test_a_misspelt_override_gets_hydras_own_message(train: Callable[..., Run], tmp_path: Path) -> None:
    done = train(tmp_path / "run", "model.featurs=3")
    assert done.returncode == 1
    assert "Could not override 'model.featurs'" in done.stderr
