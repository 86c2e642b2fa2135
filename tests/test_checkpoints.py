"""Which states of a run are kept: scored ones hold what was scored, and from each of them a run goes on."""

from pathlib import Path

import pytest
import torch
from tiny_runs import scalars, tiny_run

from demixer.checkpoints.locating import best_checkpoint
from demixer.datasets.tracks import find_tracks, split_tracks
from demixer.evaluation.results import Evaluation, summarise
from demixer.evaluation.scoring import measure
from demixer.separation.separator import Separator
from demixer.sources import SOURCES

FOUR_STEPS = ["data.samples_per_epoch=8", "data.batch_size=2", "optimizer.lr=1e-2", "callbacks.ema.decay=0.5"]


@pytest.fixture
def settings(comb_musdb: Path) -> list[str]:
    return [*FOUR_STEPS, f"data.roots=[{comb_musdb}]"]


def scored(run: Path) -> list[str]:
    return sorted(file.name for file in run.glob("weights/*usdr*.ckpt"))


def last_of(run: Path) -> dict:
    return torch.load(run / "weights" / "last.ckpt", weights_only=True)


def assert_equal_states(one: Path, two: Path) -> None:
    first, second = last_of(one), last_of(two)
    assert first["global_step"] == second["global_step"]
    for name in ("state_dict", "current_model_state"):
        assert all(value.equal(second[name][key]) for key, value in first[name].items())


def test_a_run_that_ends_between_validations_scores_what_it_validated(
    settings: list[str], comb_musdb: Path, tmp_path: Path
) -> None:
    tiny_run(tmp_path, *settings, "trainer.max_steps=6", "callbacks.last.every_n_train_steps=4")
    (name,) = scored(tmp_path)
    assert "step000004" in name
    assert last_of(tmp_path)["global_step"] == 6  # nothing that was learnt is lost
    separator = Separator.from_pretrained(tmp_path, "cpu", "fp32")
    songs = split_tracks(find_tracks([comb_musdb], (*SOURCES, "mixture"), "train"), "valid", None)
    evaluation = Evaluation({}, separator.targets, tuple(measure(separator, songs)))
    assert f"usdr{summarise(evaluation)['mean']['usdr_db']:.3f}" in best_checkpoint(tmp_path).name


def test_the_end_of_an_epoch_is_no_validation_to_lose_patience_over(settings: list[str], tmp_path: Path) -> None:
    tiny_run(tmp_path, *settings, "trainer.max_steps=6")
    key = "EarlyStopping{'monitor': 'val/usdr', 'mode': 'max'}"
    assert last_of(tmp_path)["callbacks"][key]["wait_count"] == 0


@pytest.fixture(
    scope="module",
    params=[[], ["trainer.val_check_interval=3", "trainer.check_val_every_n_epoch=null"]],
    ids=["epochs", "steps"],
)
def whole(
    request: pytest.FixtureRequest, comb_musdb: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """A run of fourteen steps, and when it validates."""
    folder = tmp_path_factory.mktemp("whole")
    tiny_run(folder, *FOUR_STEPS, f"data.roots=[{comb_musdb}]", *request.param, "trainer.max_steps=14")
    return folder, request.param


@pytest.mark.parametrize("which", ["scored", "last", "last at a validation"])
def test_every_checkpoint_goes_on_as_if_nothing_had_been(
    whole: tuple[Path, list[str]], which: str, settings: list[str], tmp_path: Path
) -> None:
    run, interval = whole
    steps = {"scored": 10, "last": 10, "last at a validation": 6 if interval else 8}[which]
    halved = tmp_path / "halved"
    tiny_run(halved, *settings, *interval, f"trainer.max_steps={steps}")
    ckpt = halved / "weights" / ("last.ckpt" if which != "scored" else scored(halved)[-1])
    tiny_run(halved, *settings, *interval, "trainer.max_steps=14", f"ckpt_path='{ckpt}'")
    assert_equal_states(run, halved)
    assert scored(run) == scored(halved)


def test_one_gpu_validates_every_so_many_steps_wherever_the_epoch_stands(comb_musdb: Path, tmp_path: Path) -> None:
    small = ["data.samples_per_epoch=20", "data.batch_size=2", "data.num_workers=0", f"data.roots=[{comb_musdb}]"]
    steps = ["trainer.accumulate_grad_batches=2", "trainer.max_steps=9", "trainer.val_check_interval=6"]
    schedule = ["scheduler=step_by_steps", "scheduler.schedule.step_size=4"]  # epochs have 5 steps
    tiny_run(tmp_path, "experiment=one_gpu", *small, *steps, *schedule)
    assert [name.split("-")[1] for name in scored(tmp_path)] == ["step000003", "step000006", "step000009"]
    assert scalars(tmp_path, "lr-Adam")[::2] == pytest.approx([1e-3] * 4 + [0.98e-3] * 4 + [0.98**2 * 1e-3])


@pytest.mark.parametrize(
    ("names", "best"),
    [
        # a run of an older version that ended in the third epoch, whose weights there had not been validated
        (["epoch=001-step=000008-usdr=5.000", "epoch=002-step=000011-usdr=5.000", "last"], 0),
        (["epoch=001-step=999999-usdr=5.000", "epoch=001-step=1000000-usdr=5.000"], 0),
        (["epoch=001-step=000008-usdr=5.000", "epoch=002-step=000012-usdr=5.001"], 1),
        (["epoch=001-step=000008-usdr=-5.001", "epoch=002-step=000012-usdr=-5.000"], 1),
    ],
)
def test_of_one_score_the_earliest_is_the_one_that_was_validated(names: list[str], best: int, tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    for name in names:
        (tmp_path / "weights" / f"{name}.ckpt").touch()
    assert best_checkpoint(tmp_path).stem == names[best]
