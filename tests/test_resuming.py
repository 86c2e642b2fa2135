"""A run that goes on is the same run: its own settings, but for what is given now, and its first record is kept."""

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml
from omegaconf import DictConfig, OmegaConf
from tiny_runs import TINY, composed, go_on, tiny_run

from demixer.checkpoints.locating import best_checkpoint
from demixer.checkpoints.records import Record, read_record, standing_alone, write_record
from demixer.data.sampler import StreamSampler
from demixer.errors import UserError
from demixer.training.overriding import merged, overridden

SHORT = ["data.samples_per_epoch=8", "data.batch_size=2", "trainer.max_epochs=1"]
OWN = ["target=bass", "model.features=4", "loss=equal_loudness", "optimizer.lr=2e-3", "seed=3", *SHORT]


@pytest.fixture(scope="module")
def finished(comb_musdb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run of four steps; its songs were told by the environment, which has forgotten them."""
    run = tmp_path_factory.mktemp("finished") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSDB_DIR", str(comb_musdb))
        tiny_run(run, *OWN, "learning_rate.rule=sqrt")
    return run


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MUSDB_DIR", raising=False)
    return Path(shutil.copytree(finished, tmp_path / "run"))


def last(run: Path) -> dict:
    return torch.load(run / "weights" / "last.ckpt", weights_only=True)


def told(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(record.getMessage() for record in caplog.records)


class TestRecords:
    def test_it_names_the_songs_that_the_environment_named(self, run: Path, comb_musdb: Path) -> None:
        record = yaml.safe_load((run / "config.yaml").read_text())
        assert record["data"]["roots"] == [str(comb_musdb)]
        assert record["started"]["overrides"][-1] == "learning_rate.rule=sqrt"
        assert record["started"].keys() >= {"processes", "commit", "time"}
        assert "${oc.env" not in (run / "config.yaml").read_text()
        assert "${hydra" not in (run / "config.yaml").read_text()
        assert read_record(run).setting("data.targets") == ["bass"]  # a reference within the record

    def test_only_references_to_other_settings_stay(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SONGS", "/songs")
        cfg = OmegaConf.create(
            {"a": "${b.c}", "b": {"c": 1}, "roots": ["${oc.env:SONGS}/x"], "n": [{"d": "${a}/y"}, "${oc.env:N,null}"]}
        )
        assert standing_alone(cfg) == {
            "a": "${b.c}",
            "b": {"c": 1},
            "roots": ["/songs/x"],
            "n": [{"d": "${a}/y"}, None],
        }

    def test_none_is_overwritten_and_the_newest_is_read(self, tmp_path: Path) -> None:
        for number in range(1, 12):
            write_record(tmp_path, OmegaConf.create({"number": number}), overrides=[f"number={number}"], processes=2)
        assert read_record(tmp_path) == Record(OmegaConf.create({"number": 11}), ["number=11"], 2)
        assert {file.name for file in tmp_path.iterdir()} == {
            "config.yaml",
            *(f"config_{n}.yaml" for n in range(2, 12)),
        }
        assert "number: 1\n" in (tmp_path / "config.yaml").read_text()

    def test_a_saved_model_has_none_and_a_damaged_one_is_named(self, tmp_path: Path) -> None:
        assert read_record(tmp_path) is None
        (tmp_path / "config.yaml").write_text("a: [")
        with pytest.raises(UserError, match=r"cannot read the settings of the run, `.*config\.yaml`"):
            read_record(tmp_path)


def test_without_more_than_ckpt_path_it_ends_as_if_it_had_never_stopped(
    run: Path, comb_musdb: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "demixer")
    whole = tmp_path / "whole"
    tiny_run(whole, *OWN, "learning_rate.rule=sqrt", f"data.roots=[{comb_musdb}]", "trainer.max_epochs=2")
    caplog.clear()
    go_on(run, "trainer.max_epochs=2")
    one, two = last(whole), last(run)
    assert two["global_step"] == 8
    for name in ("current_model_state", "state_dict"):
        assert all(value.equal(two[name][key]) for key, value in one[name].items())
    assert "  trainer.max_epochs: 1 → 2\n" in f"{told(caplog)}\n"
    rate = 2e-3 * (2 / 16) ** 0.5
    assert f"learning rate {rate:g}, as the checkpoint has it, for a global batch of 2" in told(caplog)


def test_only_what_is_given_changes_and_the_first_record_stays(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "demixer")
    first = (run / "config.yaml").read_bytes()
    go_on(run, "loss=relative_rms", "model.dropout=0.5", "trainer.max_epochs=2")
    assert (run / "config.yaml").read_bytes() == first
    before, after = (read_record_of(run / name) for name in ("config.yaml", "config_2.yaml"))
    of_this_start = {"ckpt_path", "run_dir"}
    assert {key for key in after if after[key] != before[key]} == {"loss", "model", "trainer"} | of_this_start
    assert after["loss"] == {"_target_": "demixer.training.losses.RelativeRMSLoss"}
    assert after["model"] == before["model"] | {"dropout": 0.5}
    assert after["trainer"] == before["trainer"] | {"max_epochs": 2}
    lines = told(caplog).splitlines()
    assert {line.split(":")[0].strip() for line in lines if "→" in line} == {
        "loss._target_",
        "loss.equal_loudness",
        "model.dropout",
        "trainer.max_epochs",
    }
    go_on(run)  # from what it had become
    assert len([*run.glob("config*.yaml")]) == 2
    assert last(run)["global_step"] == 8


def test_a_loss_with_a_memory_can_come_and_go(run: Path) -> None:
    go_on(run, "loss=truncated", "trainer.max_epochs=2")
    assert last(run)["state_dict"]["_loss._extra_state"].shape == (8, 1)
    go_on(run, "loss=relative_rms", "trainer.max_epochs=3")
    assert last(run)["global_step"] == 12
    assert read_record(run).setting("loss") == {"_target_": "demixer.training.losses.RelativeRMSLoss"}


def test_a_callback_can_be_left_out(run: Path) -> None:
    go_on(run, "~callbacks.listen", "trainer.max_epochs=2")
    assert last(run)["global_step"] == 8
    assert "listen" not in read_record(run).setting("callbacks")


def read_record_of(file: Path) -> dict:
    content = yaml.safe_load(file.read_text())
    content.pop("started")
    return content


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer.lr=1e-2", r"`optimizer\.lr` \(0\.002 → 0\.01\) cannot change in a run that goes on"),
        ("optimizer=muon", r"`optimizer\._target_` \(torch\.optim\.Adam → demixer\.training\.muon\.Muon\) cannot"),
        ("model.features=8", r"`model\.features` \(4 → 8\) cannot change"),
        ("model=obsrnn_small", r"`model\.\S+` \(.*\) cannot change"),
        ("featurizer.hop_samples=512", r"`featurizer\.hop_samples` \(1024 → 512\) cannot change"),
        ("target=vocals", r"`target\.name` \(bass → vocals\) cannot change"),
        ("scheduler.schedule.gamma=0.5", r"`scheduler\.schedule\.gamma` \(0\.98 → 0\.5\) cannot change"),
        ("learning_rate.rule=linear", r"`learning_rate\.rule` \(sqrt → linear\) cannot change"),
        ("init=musdb18-7s", r"`init` \(None → musdb18-7s\) cannot change"),
        ("loss=paper loss.nothing=1", "Could not override 'loss.nothing'"),
    ],
)
def test_what_a_checkpoint_holds_cannot_change(run: Path, override: str, message: str) -> None:
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    with pytest.raises(Exception, match=message) as refusal:
        go_on(run, *override.split())
    assert "\n" not in str(refusal.value) or "Could not" in message  # Hydra's own, before it is ours to say
    assert {file: file.read_bytes() for file in before} == before
    assert not (run / "config_2.yaml").exists()


def test_a_schedule_that_has_an_end_cannot_be_extended(comb_musdb: Path, tmp_path: Path) -> None:
    one_cycle = ["scheduler=one_cycle", "trainer.max_steps=4", f"data.roots=[{comb_musdb}]"]
    tiny_run(tmp_path, *OWN, *one_cycle)
    follows = r"`scheduler\.schedule\.total_steps` \(4 → 8\), which is \$\{trainer\.max_steps\}, cannot change"
    with pytest.raises(UserError, match=follows):
        go_on(tmp_path, "trainer.max_steps=8")
    go_on(tmp_path)  # it is complete: nothing is left to do
    assert last(tmp_path)["global_step"] == 4


def test_another_batch_says_what_becomes_of_the_data_and_it_does(
    run: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO", "demixer")
    drawn: list[int] = []
    numbers = StreamSampler.__iter__
    monkeypatch.setattr(StreamSampler, "__iter__", lambda self: (drawn.append(n) or n for n in numbers(self)))
    go_on(run, "data.batch_size=4", "trainer.max_epochs=2")
    line = "batches of 4 examples instead of 2: the data goes on with example 16 after 8, so that 8 are left out"
    assert line in told(caplog)
    assert drawn == [*range(16, 24)]  # an epoch of 8 examples
    assert read_record(run).processes == 1


def test_fewer_processes_say_what_becomes_of_the_data(comb_musdb: Path, tmp_path: Path, run_script: Callable) -> None:
    run, ddp = tmp_path / "run", ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]
    songs = f"data.roots=[{comb_musdb}]"
    done = run_script("train", *TINY, *OWN, songs, *ddp, f"hydra.run.dir={run}", "data.samples_per_epoch=16")
    assert done.returncode == 0, done.stderr
    assert read_record(run).processes == 2
    assert len([*run.glob("config*.yaml")]) == 1
    done = run_script(
        "train", f"ckpt_path={run / 'weights' / 'last.ckpt'}", "trainer.devices=1", "trainer.max_epochs=2"
    )
    assert done.returncode == 0, done.stderr
    line = "batches of 2 examples instead of 4: the data goes on with example 8 after 16, so that 8 come a second time"
    assert line in (run / "train.log").read_text()
    assert read_record(run).processes == 1


def test_a_run_that_was_moved_goes_on_where_it_is(run: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    moved = run.rename(tmp_path / "elsewhere")
    go_on(moved, "trainer.max_epochs=2")
    assert last(moved)["global_step"] == 8
    assert not run.exists()


@pytest.mark.parametrize("name", ["SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"])
def test_a_job_that_is_started_again_goes_on(comb_musdb: Path, tmp_path: Path, monkeypatch, name: str) -> None:
    command = [*OWN, f"data.roots=[{comb_musdb}]", "trainer.max_epochs=2"]
    monkeypatch.setenv(name, "1")
    tiny_run(tmp_path, *command, "trainer.max_epochs=1")
    tiny_run(tmp_path, *command)  # the same command, without ckpt_path
    assert last(tmp_path)["global_step"] == 8
    monkeypatch.setenv(name, "0")
    with pytest.raises(UserError, match="holds the weights of another run"):
        tiny_run(tmp_path, *command)


def test_another_run_may_branch_off_in_a_folder_of_its_own(run: Path, tmp_path: Path) -> None:
    branch, file = tmp_path / "branch", best_checkpoint(run)
    go_on(branch, "loss=relative_rms", "trainer.max_epochs=2", ckpt_path=file)
    assert last(branch)["global_step"] == 8
    assert last(run)["global_step"] == 4
    assert yaml.safe_load((branch / "config.yaml").read_text())["started"]["checkpoint"] == str(file)
    with pytest.raises(UserError, match="holds the weights of another run"):
        go_on(branch, "trainer.max_epochs=3", ckpt_path=file)


@pytest.mark.parametrize("word", ["ckpt_path", "init"])
def test_our_own_names_can_be_typed(run: Path, word: str) -> None:
    """``epoch=003-…`` could not: an override has one ``=``."""
    file = best_checkpoint(run)
    assert re.fullmatch(r"epoch000-step000004-usdr-?\d+\.\d{3}\.ckpt", file.name)
    assert composed(run, f"{word}={file}")[word] == str(file)


def test_a_checkpoint_that_cannot_be_gone_on_from_is_named(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / "weights" / "last.ckpt", tmp_path / "alone.ckpt")
    with pytest.raises(UserError, match=r"must lie in `weights/` of a run, beside its config\.yaml"):
        go_on(tmp_path / "new", ckpt_path=tmp_path / "alone.ckpt")
    (run / "weights" / "last.ckpt").write_bytes(b"half")
    with pytest.raises(UserError, match=r"cannot go on from `.*last\.ckpt`, give another checkpoint: it is damaged"):
        go_on(run)


class TestOverriding:
    SETTINGS = OmegaConf.create(
        {
            "loss": {"_target_": "demixer.training.losses.L1Loss", "equal_loudness": True},
            "optimizer": {"_target_": "torch.optim.Adam", "lr": 5},
            "trainer": {"max_epochs": 3, "precision": "of old"},
            "augmentations": {"mix": [1]},
        }
    )
    BEFORE = ("optimizer.lr=5", "trainer.max_epochs=3", "loss.equal_loudness=true")

    def apply(self, *given: str, before: tuple[str, ...] | None = BEFORE) -> DictConfig:
        return overridden(self.SETTINGS, before, given)

    def test_a_choice_that_it_has_already_changes_nothing(self) -> None:
        assert self.apply("optimizer=adam", "trainer=default", "ckpt_path=last") == self.SETTINGS

    def test_what_was_set_within_a_group_survives_another_choice_of_it(self) -> None:
        trainer = self.apply("trainer=ddp").trainer
        assert (trainer.max_epochs, trainer.precision, trainer.num_nodes) == (3, "of old", 1)

    def test_what_another_choice_does_not_know_is_left_out(self) -> None:
        assert self.apply("loss=relative_rms").loss == {"_target_": "demixer.training.losses.RelativeRMSLoss"}
        assert merged(self.BEFORE, ["loss=relative_rms"]) == [*self.BEFORE[:2], "loss=relative_rms"]

    def test_a_value_that_is_the_default_is_given_all_the_same(self) -> None:
        assert self.apply("optimizer.lr=1e-3").optimizer.lr == 1e-3
        assert self.apply("trainer.precision=32-true").trainer.precision == "32-true"

    def test_additions_removals_and_lists(self) -> None:
        assert self.apply("+trainer.limit_val_batches=1").trainer.limit_val_batches == 1
        assert "precision" not in self.apply("~trainer.precision").trainer
        assert self.apply("augmentations.mix=[]").augmentations.mix == []

    def test_an_addition_may_be_repeated_and_replaced(self) -> None:
        before = [*self.BEFORE, "+trainer.limit_val_batches=1"]
        assert merged(before, ["+trainer.limit_val_batches=2"]) == [*self.BEFORE, "+trainer.limit_val_batches=2"]
        assert self.apply("+trainer.limit_val_batches=1", before=tuple(before)) == self.SETTINGS

    def test_of_a_run_whose_overrides_nobody_knows_a_choice_is_taken_whole(self) -> None:
        assert self.apply("optimizer=adam", before=None).optimizer.lr == 1e-3
        assert self.apply("trainer.max_epochs=4", before=None).trainer == {"max_epochs": 4, "precision": "of old"}
