"""Each validation is told: in train.log, in a table, and to every logger."""

import csv
import math
import re
import time
from pathlib import Path

import pytest
from tiny_runs import composed, go_on, scalars, tiny_run

from demixer.checkpoints.locating import best_checkpoint
from demixer.errors import UserError
from demixer.training.config import build_all
from demixer.training.validation_log import BEST, LEFT, SPEED, ValidationLog, ValidationTable
from tests.page_visitor import wait_until

TWO_EPOCHS = ["target=all", "data.samples_per_epoch=4", "data.batch_size=2", "trainer.max_epochs=2", "model.features=4"]
COLUMNS = ["step", "usdr_vocals", "usdr_drums", "usdr_bass", "usdr_other", "usdr", "best_usdr"]
LINE = re.compile(
    r"step (\d+) of 4: uSDR (\S+) dB \(vocals \S+, drums \S+, bass \S+, other \S+\), best (\S+) at step (\d+); "
    r"(\S+) steps/s, \d+ min left"
)


def rows(run: Path) -> list[dict[str, float]]:
    with (run / "validations.csv").open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def test_log_and_table_tell_each_validation_also_of_a_run_that_goes_on(
    comb_musdb: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "demixer")
    tiny_run(tmp_path, *TWO_EPOCHS, f"data.roots=[{comb_musdb}]", "trainer.max_epochs=1")
    go_on(tmp_path, "trainer.max_epochs=2")
    table = rows(tmp_path)
    assert [*table[0]] == [*COLUMNS, "steps_per_second", "seconds_left"]
    assert [row["step"] for row in table] == [2, 4]
    usdr = [row["usdr"] for row in table]
    assert usdr == pytest.approx(scalars(tmp_path, "val/usdr"), abs=1e-4)
    for row in table:
        assert row["usdr"] == pytest.approx(sum(row[name] for name in COLUMNS[1:5]) / 4, abs=1e-4)
    assert [row["best_usdr"] for row in table] == [usdr[0], max(usdr)]
    assert f"usdr{max(usdr):.3f}" in best_checkpoint(tmp_path).name
    assert scalars(tmp_path, BEST) == pytest.approx([usdr[0], max(usdr)], abs=1e-4)
    (told,) = (match.groups() for record in caplog.records if (match := LINE.match(record.getMessage())))
    assert told[:3] == ("4", f"{usdr[1]:.3f}", f"{max(usdr):.3f}")
    assert told[3] == ("2" if usdr[0] > usdr[1] else "4")


class Trainer:
    """What the callback asks a trainer."""

    sanity_checking, is_global_zero, estimated_stepping_batches = False, False, 100

    def __init__(self) -> None:
        self.global_step, self.callback_metrics, self.loggers, self.told = 0, {}, [self], []

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.told.append(metrics)


def test_speed_is_the_trainings_and_the_time_left_includes_validations(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, callback = Trainer(), ValidationLog()
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    callback.on_train_start(trainer, None)
    for usdr in (2.0, 1.0):
        now += 5  # ten steps of half a second …
        trainer.global_step += 10
        callback.on_validation_start(trainer, None)
        now += 15  # … and a validation
        trainer.callback_metrics = {"val/usdr": Number(usdr), "val/usdr_bass": Number(usdr)}
        callback.on_validation_end(trainer, None)
    assert trainer.told == [{BEST: 2.0, SPEED: 2.0, LEFT: 90 * 2.0}, {BEST: 2.0, SPEED: 2.0, LEFT: 80 * 2.0}]
    assert (callback.best, callback.best_step) == (2.0, 10)
    again = ValidationLog()
    again.load_state_dict(callback.state_dict())
    assert (again.best, again.best_step) == (2.0, 10)


class Number(float):
    def item(self) -> float:
        return float(self)


def test_a_validation_before_training_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer, callback = Trainer(), ValidationLog()
    monkeypatch.setattr(trainer, "sanity_checking", True, raising=False)
    callback.on_validation_end(trainer, None)
    assert trainer.told == []
    assert callback.best == -math.inf


def test_a_table_ignores_all_but_validations(tmp_path: Path) -> None:
    table = ValidationTable(tmp_path / "validations.csv")
    table.log_metrics({"train/loss": 1.0}, step=1)
    assert not table.file.exists()
    for step in (2, 4):
        table.log_metrics({"val/usdr": 3.0, "epoch": 0}, step=step - 1)
        table.log_metrics({BEST: 5.0}, step=step)
    assert table.file.read_text() == "step,usdr,best_usdr\n2,3,5\n4,3,5\n"


def test_weights_and_biases_is_a_logger_among_others(
    comb_musdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb", reason="needs requirements-wandb.txt")
    monkeypatch.setenv("WANDB_MODE", "offline")
    short = [*TWO_EPOCHS, f"data.roots=[{comb_musdb}]", "logger=wandb", "trainer.max_epochs=1"]
    for name in ("one", "two"):  # one after the other in a process, as in a multirun
        tiny_run(tmp_path / name, *short)
        (written,) = (tmp_path / name / "wandb").glob("offline-run-*/*.wandb")
        for key in ("val/usdr_bass", BEST, "train/loss"):  # written by a process of W&B's own
            wait_until(lambda key=key, file=written: key.encode() in file.read_bytes())
        assert len(rows(tmp_path / name)) == 1
        assert scalars(tmp_path / name, "val/usdr")


def test_without_its_package_a_line_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytorch_lightning.loggers.wandb._WANDB_AVAILABLE", False)
    with pytest.raises(UserError, match=r"a package is missing, see requirements-\*\.txt: .*WandbLogger"):
        build_all(composed(tmp_path, "logger=wandb").logger)
