"""``python train.py -m target=…``: several networks in one command; test_readme.py runs them as jobs of a cluster."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import cloudpickle
import pytest
import submitit
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf
from tiny_runs import TINY

import demixer.training.config  # registers the resolvers
from demixer.paths import CONF_DIR, SRC_DIR
from demixer.separation.separator import Separator
from demixer.training import run_folders

Run = subprocess.CompletedProcess[str]
NO_TARGET = [override for override in TINY if not override.startswith("target=")]
ONE_STEP = ["trainer.max_steps=1", "data.samples_per_epoch=2", "callbacks.listen.songs=0", "model.features=4"]


@pytest.fixture
def multirun(run_script: Callable[..., Run], comb_musdb: Path, tmp_path: Path) -> Callable[..., Run]:
    def run(*overrides: str) -> Run:
        everyone = [*NO_TARGET, *ONE_STEP, f"data.roots=[{comb_musdb}]", f"hydra.sweep.dir={tmp_path / 'sweep'}"]
        return run_script("train", "-m", *everyone, *overrides)

    return run


def test_each_target_gets_a_folder_of_its_own_and_together_they_are_a_model(
    multirun: Callable[..., Run], tmp_path: Path
) -> None:
    done = multirun("target=vocals,bass")
    assert done.returncode == 0, done.stderr
    for folder, target in (("0_vocals", "vocals"), ("1_bass", "bass")):
        run = tmp_path / "sweep" / folder
        assert {"weights", "tb_logs", "config.yaml", "hparams.yaml", "train.log"} <= {
            file.name for file in run.iterdir()
        }
        assert Separator.from_pretrained(run, "cpu").targets == (target,)
        assert (run / "train.log").read_text().count("parameters\n") == 1  # the other job logs elsewhere
    assert Separator.from_pretrained(tmp_path / "sweep", "cpu").targets == ("vocals", "bass")


@pytest.mark.parametrize("launcher", [[], ["hydra/launcher=submitit_local"]])
def test_the_same_command_goes_on_where_it_was_killed(
    multirun: Callable[..., Run], tmp_path: Path, launcher: list[str]
) -> None:
    """What a cluster does as well that starts a preempted job again: the same settings, in the same folder."""
    longer = "data.samples_per_epoch=4"
    assert multirun("target=vocals", longer).returncode == 0  # as if killed before the turn of the other
    done = multirun("target=vocals,bass", longer, "trainer.max_steps=2", *launcher)
    assert done.returncode == 0, done.stderr
    for folder, went_on, records in (("0_vocals", 1, 2), ("1_bass", 0, 1)):
        run = tmp_path / "sweep" / folder
        assert torch.load(run / "weights" / "last.ckpt", weights_only=True)["global_step"] == 2
        assert (run / "train.log").read_text().count("goes on from `") == went_on
        assert len([*run.glob("config*.yaml")]) == records


def test_a_multirun_that_goes_on_begins_what_had_not_begun(multirun: Callable[..., Run], tmp_path: Path) -> None:
    done = multirun("target=bass", "ckpt_path=last")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "sweep" / "0_bass" / "weights" / "last.ckpt").is_file()


def test_a_job_that_is_queued_again_looks_in_the_same_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is pickled with its configuration, in which the multirun's folder was chosen once."""
    monkeypatch.setattr(run_folders, "RUNS_DIR", tmp_path)
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg, of_job = (compose("config", ["hydra.job.num=0"], return_hydra_config=True) for _ in range(2))
    folder = cfg.hydra.sweep.dir
    OmegaConf.copy_cache(from_config=cloudpickle.loads(cloudpickle.dumps(cfg)), to_config=of_job)
    assert of_job.hydra.sweep.dir == folder
    assert [*tmp_path.iterdir()] == [Path(folder)]


@pytest.mark.parametrize(
    ("launcher", "resources"),
    [
        ("slurm", {"time=4320", "gpus-per-node=1", "cpus-per-task=4", "mem=32GB", "nodes=1"}),
        ("submitit_slurm", {"time=60", "nodes=1"}),
    ],
)
def test_what_slurm_is_asked_for(
    launcher: str, resources: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The script that sbatch would get; a program named srun is all that submitit looks for before it writes it."""
    (tmp_path / "srun").write_text("")
    (tmp_path / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    overrides = [f"hydra/launcher={launcher}", "hydra.launcher.partition=gpu", f"hydra.sweep.dir={tmp_path}"]
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("config", [*overrides, "hydra.job.name=train"], return_hydra_config=True)
    scripts = []

    def write_script(executor: submitit.AutoExecutor, *_: object) -> list:
        scripts.append(executor._executor._make_submission_file_text("python", "1"))
        return []

    monkeypatch.setattr(submitit.AutoExecutor, "map_array", write_script)
    slurm = instantiate(cfg.hydra.launcher)
    slurm.setup(hydra_context=None, task_function=None, config=cfg)
    slurm.launch([["target=vocals"], ["target=bass"]], 0)
    asked = [line.removeprefix("#SBATCH --") for line in scripts[0].splitlines() if line.startswith("#SBATCH --")]
    assert {*resources, "partition=gpu", "job-name=train"} <= {*asked}


@pytest.mark.parametrize("before", ["", "/a", f"/a{os.pathsep}{SRC_DIR}{os.pathsep}/b"])
def test_jobs_find_the_packages_of_this_project(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", before)
    demixer.training.config.let_jobs_import()
    first, *others = os.environ["PYTHONPATH"].split(os.pathsep)
    assert first == str(SRC_DIR)
    assert others == [place for place in ("/a", "/b") if place in before]
