"""What a training run is described by."""

import os
import subprocess
from pathlib import Path

import pytest
import torch
from tiny_runs import composed, tiny_run

from demixer import __version__, commit
from demixer.errors import UserError
from demixer.training import runs
from demixer.training.validation_times import check_validations


@pytest.fixture
def foreign_checkout(tmp_path, monkeypatch):
    """Somebody's repository, with this package installed in a folder of it."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:  # set where a hook of git runs the tests
        monkeypatch.delenv(name)
    git(tmp_path, "init", "-q")
    author = ("-c", "user.name=A", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    git(tmp_path, *author, "commit", "--allow-empty", "-qm", "-")
    folder = tmp_path / "venv" / "lib"
    folder.mkdir(parents=True)
    monkeypatch.setattr(commit, "PROJECT_DIR", folder)
    return tmp_path


def git(folder, *command):
    return subprocess.run(["git", "-C", folder, *command], capture_output=True, text=True, check=True).stdout.strip()


def test_the_commit_is_that_of_the_clone(foreign_checkout, monkeypatch):
    monkeypatch.setattr(commit, "PROJECT_DIR", foreign_checkout)
    head = git(foreign_checkout, "rev-parse", "HEAD")[:12]
    assert commit.git_commit() == head
    (foreign_checkout / "new.py").touch()
    git(foreign_checkout, "add", "new.py")
    assert commit.git_commit() == f"{head}-dirty"


@pytest.mark.parametrize("in_clone", [True, False])  # an unpacked archive of the project is a clone without git
def test_a_foreign_repository_s_commit_is_not_reported(foreign_checkout, monkeypatch, in_clone):
    monkeypatch.setattr(commit, "IN_CLONE", in_clone)
    assert commit.git_commit() == f"unknown: demixer {__version__}, not a git checkout"


def test_an_installed_package_has_a_version_and_no_commit(foreign_checkout, monkeypatch):
    monkeypatch.setattr(commit, "PROJECT_DIR", foreign_checkout)
    monkeypatch.setattr(commit, "IN_CLONE", False)
    assert __version__ in commit.git_commit()


def test_without_the_program_git_the_version_is_told(monkeypatch, tmp_path):
    (tmp_path / ".git").mkdir()
    monkeypatch.setattr(commit, "PROJECT_DIR", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit.git_commit() == f"unknown: demixer {__version__}, git cannot tell"


def test_a_run_tells_its_versions_parameters_and_learning_rate(tmp_path):
    lines = runs.describe_run(composed(tmp_path, "optimizer.lr=2e-3"), torch.nn.Linear(10, 100), 4).splitlines()
    assert lines[0] == "configuration:"
    versions, state, parameters, rate = lines[-4:]
    assert versions.startswith(f"demixer {__version__}, python 3.")
    assert f"torch {torch.__version__.partition('+')[0]}" in versions
    assert state.startswith("commit ")
    assert parameters == "1,100 parameters"
    assert rate == "learning rate 0.002 for a global batch of 4 (rule: none)"


def test_a_run_with_another_global_batch_is_warned(
    comb_musdb: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = ["data.valid=[]", "data.samples_per_epoch=2", "data.batch_size=2", "trainer.max_epochs=1"]
    tiny_run(tmp_path, *short, f"data.roots=[{comb_musdb}]", "learning_rate.reference_batch_size=16")
    (warning,) = [line for line in caplog.messages if line.startswith("the learning rate is for a global batch of 16")]
    assert ", this one is 2: set trainer.accumulate_grad_batches" in warning


@pytest.mark.parametrize(("batches", "warned"), [(1, False), (2, False), (3, True)])
def test_validations_within_a_step_are_told(batches, warned, caplog):
    by_batch = {"max_steps": -1, "val_check_interval": 8, "check_val_every_n_epoch": None}
    check_validations({**by_batch, "accumulate_grad_batches": batches}, 12)
    assert ("come within a step of 3 batches" in caplog.text) == warned


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.batch_size=0", r"`batch_size` \(=0\) must be at least 1"),
        ("data.num_workers=-1", r"`num_workers` \(=-1\) must be at least 0"),
        ("data.max_valid_songs=-1", r"`max_valid_songs` \(=-1\) must be at least 0"),  # of a list it is all but one
        ("data.crop_seconds=1e-6", r"`crop_seconds` \(=1e-06\) must be above 0"),
        ("trainer.accumulate_grad_batches=0", r"`trainer\.accumulate_grad_batches` \(=0\) must be at least 1"),
        (
            "trainer.val_check_interval=100",
            r"\(=100\) is more than an epoch's 2 batches: set trainer\.check_val",
        ),
        ("scheduler=one_cycle", r"`scheduler`: .*total_steps, but got -1 \(one_cycle needs `trainer\.max_steps`\)"),
        ("optimizer.lr=-1", r"`optimizer`: Invalid learning rate: -1"),
    ],
)
def test_settings_that_cannot_be_are_named(comb_musdb, tmp_path, override, message):
    short = ["data.samples_per_epoch=4", "data.batch_size=2", "trainer.max_epochs=1"]
    with pytest.raises(UserError, match=message):
        tiny_run(tmp_path, f"data.roots=[{comb_musdb}]", *short, override)
