"""A step whose gradient is not finite is left out, counted and named, and too many of them end the run."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from pytorch_lightning.callbacks import Callback
from pytorch_lightning.plugins import MixedPrecision
from tiny_runs import TINY, scalars, tiny_run
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from demixer.data.datamodule import MusicDataModule
from demixer.errors import UserError
from demixer.training.config import build_all
from demixer.training.module import SeparationModule
from demixer.training.steps import Part, SkippedSteps, refuse_broken_weights, spread_faults, suspects_of

NAN = float("nan")
EIGHT = ["data.samples_per_epoch=16", "data.batch_size=2", "trainer.max_epochs=1", "data.max_valid_songs=1"]


class Poison:
    """Makes item 1 of some batches NaN, and notes its songs and the weights before each batch."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *batches: int) -> None:
        self.songs: list[str] = []
        self.others: list[str] = []
        self.weights: list[Tensor] = []
        mix, count = MusicDataModule.on_after_batch_transfer, iter(range(1000))

        def poisoned(module: MusicDataModule, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
            batch = mix(module, batch, dataloader_idx)
            if "song" not in batch:
                network = module.trainer.lightning_module.network
                self.weights.append(torch.cat([p.detach().flatten() for p in network.parameters()]))
                if next(count) in batches:
                    batch["mixture"][1, :, 100] = NAN
                    batch["songs"] = [["Sound"] * 4, ["Rotten"] * 4]
            return batch

        monkeypatch.setattr(MusicDataModule, "on_after_batch_transfer", poisoned)


def last_of(run: Path) -> dict:
    return torch.load(run / "weights" / "last.ckpt", weights_only=True)


def assert_finite(checkpoint: dict) -> None:
    for name in ("state_dict", "current_model_state"):
        assert all(value.isfinite().all() for value in checkpoint[name].values())


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("accumulated", [1, 2])
def test_a_step_on_no_number_is_left_out(
    optimizer: str, precision: str, accumulated: int, comb_musdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison = Poison(monkeypatch, 4)  # with two batches a step, the first of the third step's
    settings = [f"optimizer={optimizer}", f"trainer.precision={precision}", f"data.roots=[{comb_musdb}]"]
    tiny_run(tmp_path, *EIGHT, *settings, f"trainer.accumulate_grad_batches={accumulated}")
    steps, last = 8 // accumulated, last_of(tmp_path)
    assert last["global_step"] == steps
    assert last["skipped_steps"] == 1
    assert {int(state["step"]) for state in last["optimizer_states"][0]["state"].values() if "step" in state} == {
        steps - 1
    }
    assert last["averaging_state"]["n_averaged"] == steps - 1
    assert_finite(last)
    moved = [not before.equal(after) for before, after in zip(poison.weights[4:7], poison.weights[5:8], strict=True)]
    assert moved == ([False, True, True] if accumulated == 1 else [False, False, False])
    counted = [0, 0, 0, 0, 1, 1, 1, 1] if accumulated == 1 else [0, 0, 1, 1]
    assert scalars(tmp_path, "train/skipped_steps") == counted


def test_a_broken_item_is_no_broken_weight_of_a_loss_that_remembers(
    comb_musdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Poison(monkeypatch, 4)
    tiny_run(tmp_path, *EIGHT, f"data.roots=[{comb_musdb}]", "loss=truncated")
    last = last_of(tmp_path)
    assert (last["global_step"], last["skipped_steps"]) == (8, 1)
    assert_finite(last)


def test_too_many_in_a_row_end_the_run_with_their_songs(
    comb_musdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Poison(monkeypatch, 0, 1, 3, 4, 5)
    with pytest.raises(UserError, match=r"gradients of 3 steps in a row .*in step 5, on the songs Rotten \(3×\): look"):
        tiny_run(tmp_path, *EIGHT, f"data.roots=[{comb_musdb}]", "max_skipped_steps=3")


def test_a_rotten_song_on_two_processes(
    comb_musdb: Path, tmp_path: Path, run_script: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    root = tmp_path / "songs"
    shutil.copytree(comb_musdb, root)
    bass, rate_hz = soundfile.read(root / "train" / "Amber" / "bass.wav")
    soundfile.write(root / "train" / "Amber" / "bass.wav", NAN * bass, rate_hz, subtype="FLOAT")
    ddp = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu", "data.batch_size=1"]
    settings = [f"data.roots=[{root}]", "data.preload=false", "max_skipped_steps=100", "callbacks.listen.songs=0"]
    settings.append("data.remix_probability=0")  # an item is of one song, and mostly one process's only
    done = run_script("train", *TINY, *EIGHT, *settings, *ddp, f"hydra.run.dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    last = last_of(tmp_path / "run")
    assert 0 < last["skipped_steps"] < 8  # about every second step has it
    assert last["averaging_state"]["n_averaged"] == 8 - last["skipped_steps"]
    assert_finite(last)
    lines = [line for line in (tmp_path / "run" / "train.log").read_text().splitlines() if "is skipped" in line]
    assert len(lines) == last["skipped_steps"]
    assert all(re.search(r"not finite, on the songs Amber( \(\d×\))?$", line) for line in lines), lines


class TestFp16:
    """Lightning's 16-mixed, with the plugin as it is on a GPU."""

    @pytest.fixture
    def scaled(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], torch.amp.GradScaler]:
        def build(init_scale: float) -> torch.amp.GradScaler:
            scaler = torch.amp.GradScaler("cpu", init_scale=init_scale)
            monkeypatch.setattr(
                "pytorch_lightning.trainer.connectors.accelerator_connector._AcceleratorConnector"
                "._check_and_init_precision",
                lambda connector: MixedPrecision("16-mixed", "cpu", scaler),
            )
            return scaler

        return build

    def test_the_scalers_own_skips_do_not_count(self, scaled, comb_musdb: Path, tmp_path: Path) -> None:
        scaler = scaled(2.0**40)  # overflows in the first steps, until it is small enough
        tiny_run(tmp_path, *EIGHT, "data.samples_per_epoch=80", f"data.roots=[{comb_musdb}]", "max_skipped_steps=2")
        last = last_of(tmp_path)
        assert scaler.get_scale() < 2.0**35
        assert last["skipped_steps"] == 0
        assert 0 < last["averaging_state"]["n_averaged"] < 36
        assert_finite(last)

    def test_a_loss_that_is_no_number_counts(
        self, scaled, comb_musdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scaled(2.0)
        Poison(monkeypatch, 4)
        tiny_run(tmp_path, *EIGHT, f"data.roots=[{comb_musdb}]")
        last = last_of(tmp_path)
        assert last["skipped_steps"] == 1
        assert last["averaging_state"]["n_averaged"] == 7

    def test_a_scale_that_cannot_shrink_is_no_excuse(
        self, scaled, comb_musdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scaled(1.0)
        total = torch.nn.utils.get_total_norm
        monkeypatch.setattr(torch.nn.utils, "get_total_norm", lambda tensors: NAN * total(tensors))
        with pytest.raises(UserError, match="gradients of 2 steps in a row"):
            tiny_run(tmp_path, *EIGHT, f"data.roots=[{comb_musdb}]", "max_skipped_steps=2")


def test_weights_that_are_not_finite_are_not_saved(
    comb_musdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mix = MusicDataModule.on_after_batch_transfer

    def break_weights(module: MusicDataModule, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        if module.trainer.global_step == 3:
            next(module.trainer.lightning_module.parameters()).data[0] = float("inf")
        return mix(module, batch, dataloader_idx)

    monkeypatch.setattr(MusicDataModule, "on_after_batch_transfer", break_weights)
    with pytest.raises(UserError, match=r"the weights are not finite in step 4: they are not saved.*lower `optimizer"):
        tiny_run(tmp_path, *EIGHT, f"data.roots=[{comb_musdb}]", "callbacks.last.every_n_train_steps=1")
    assert last_of(tmp_path)["global_step"] == 3
    assert_finite(last_of(tmp_path))


@pytest.mark.parametrize("state", ["state_dict", "current_model_state"])
def test_neither_weights_nor_average_may_be_broken(state: str) -> None:
    good = {"weight": torch.ones(2), "order": torch.tensor([1])}
    checkpoint = {"state_dict": good, "current_model_state": good}
    refuse_broken_weights(checkpoint, 7)
    refuse_broken_weights({"state_dict": good}, 7)
    with pytest.raises(UserError, match="in step 7"):
        refuse_broken_weights({**checkpoint, state: {**good, "weight": torch.tensor([1.0, NAN])}}, 7)


def part(losses: list[float], heard: list[bool], songs: list[list[str]]) -> Part:
    terms = {str(i): torch.tensor(loss) for i, loss in enumerate(losses)}
    return Part(songs, terms, torch.tensor(heard))


def test_the_songs_that_are_named_are_the_broken_ones() -> None:
    songs = [["A", "B"], ["C", "D"]]
    fine = part([1.0, 2.0], [True, True], [["E"], ["F"]])
    assert suspects_of([fine, part([NAN, 1.0], [False, True], songs)], 1) == (["A", "B"], True)
    assert suspects_of([fine, part([1.0, float("inf")], [True, True], songs)], 1) == (["A", "B", "C", "D"], True)
    assert suspects_of([fine, part([1.0], [True, True], songs)], 1) == (["E", "F", "A", "B", "C", "D"], False)


def test_a_step_that_is_taken_ends_the_row() -> None:
    skipped = SkippedSteps(2)
    skipped.skip(0, ["A"])
    skipped.taken()
    skipped.skip(2, ["B"])
    with pytest.raises(UserError, match=r"2 steps in a row .* on the songs B \(2×\), C: look"):
        skipped.skip(3, ["B", "B", "C"])
    assert skipped.total == 3


def test_an_infinite_loss_with_a_finite_gradient_has_none() -> None:
    x = torch.tensor([1.0, float("inf")], requires_grad=True)
    spread_faults(x.abs().sum()).backward()
    assert x.grad.isnan().all()
    y = torch.tensor([1.0, -2.0], requires_grad=True)
    spread_faults(y.abs().sum()).backward()
    assert y.grad.tolist() == [1, -1]


class Waits(TorchDispatchMode):
    """Counts how often a number is fetched from a tensor, which on a GPU waits for all that was begun there.

    Numbers in double precision do not count: those were fetched before, and are logged.
    """

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default and args[0].dtype != torch.float64
        return func(*args, **(kwargs or {}))


class CountWaits(Callback):
    """Counts them from the start of one batch to the next's, with the log and the progress bar."""

    def __init__(self, fetched: list[int]) -> None:
        self.fetched, self.by_step, self.waits = fetched, [], None

    def on_train_batch_start(self, trainer: Any, *_: Any) -> None:
        self.close()
        self.fetched.clear()
        self.waits = Waits()
        self.waits.__enter__()

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == 8:  # the last
            self.close()

    def close(self) -> None:
        if self.waits is not None:
            self.waits.__exit__(None, None, None)
            self.by_step.append(self.waits.count + len(self.fetched))
            self.waits = None


def test_a_step_waits_once_for_the_device(comb_musdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[int] = []
    summed, mean = [], SeparationModule._mean_losses
    monkeypatch.setattr(SeparationModule, "_mean_losses", lambda *args: summed.append(1) or mean(*args))
    fetch, counter = Tensor.tolist, CountWaits(fetched)
    monkeypatch.setattr(Tensor, "tolist", lambda tensor: fetched.append(1) or fetch(tensor))
    monkeypatch.setattr(
        "demixer.training.train.build_all",
        lambda group: [*([counter] if "ema" in group else []), *build_all(group)],
    )
    apart = ["data.num_workers=1", "data.preload=false"]  # reading fetches numbers too, elsewhere
    tiny_run(tmp_path, *EIGHT, *apart, f"data.roots=[{comb_musdb}]", "optimizer=muon", "trainer.log_every_n_steps=4")
    assert counter.by_step == [1] * 8
    assert len(summed) == 2  # the losses, over the processes: in the two steps that are logged
