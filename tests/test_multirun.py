"""``python train.py -m target=…``: several networks in one command, here and as jobs of a cluster."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from test_train import TINY

import utils.config  # noqa: F401  (registers the resolvers)
from separator import Separator
from utils.paths import CONF_DIR

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
    done = multirun("target=vocals,guitar", "data.sources=null")
    assert done.returncode == 2, "comb_musdb has no guitar"
