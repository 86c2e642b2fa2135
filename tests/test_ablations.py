"""The ablation series: every variant is a configuration, and the curves are what TensorBoard has."""

import csv
import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from torch.utils.tensorboard import SummaryWriter

import demixer.training.config  # noqa: F401  (registers the resolvers)
from demixer.figures.learning import learning_curves, read_curves
from demixer.model.building import build_network
from demixer.paths import CONF_DIR, PROJECT_DIR
from demixer.sources import SOURCES
from demixer.training.runs import model_hparams


@pytest.fixture
def ablations(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT_DIR / "benchmarks"))
    return importlib.import_module("ablations")


@pytest.mark.parametrize(("recipe", "variants"), [("FIRST_HALF", "VARIANTS"), ("SECOND_HALF", "SECOND_VARIANTS")])
def test_every_variant_changes_the_recipe(ablations: ModuleType, recipe: str, variants: str) -> None:
    composed = set()
    for overrides in getattr(ablations, variants).values():
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            settings = ["run_dir=.", *getattr(ablations, recipe), *ablations.budget(250), *overrides]
            config = compose("config", settings)
        assert config.trainer.max_steps == 250 == 2 * config.data.samples_per_epoch / config.data.batch_size
        composed.add(str(config))
    assert len(composed) == len(getattr(ablations, variants))


@pytest.mark.parametrize("name", ["BS-RoFormer", "Mel-Band RoFormer"])
def test_transformers_have_as_many_parameters_as_the_rnn_and_the_rest_of_its_recipe(
    ablations: ModuleType, name: str
) -> None:
    sizes, recipes = [], []
    for overrides in (ablations.BEST, ablations.VARIANTS[f"{name} with as many parameters"]):
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = compose("config", ["run_dir=.", *ablations.FIRST_HALF, *ablations.budget(250), *overrides])
        with torch.device("meta"):
            network = build_network(model_hparams(config))
        sizes.append(sum(parameter.numel() for parameter in network.parameters()))
        recipes.append({key: str(value) for key, value in config.items() if key != "model"})
        assert len(network.bandsplitrnn.split.table.widths) == 32
    assert sizes[1] == pytest.approx(sizes[0], rel=0.01)
    assert recipes[0] == recipes[1]


def test_curves_are_added_and_replaced(ablations: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with SummaryWriter(str(tmp_path / "run" / "tb_logs")) as board:
        for step in (249, 499):
            board.add_scalar("val/usdr", 2.5, step)
            for value, target in enumerate(SOURCES):
                board.add_scalar(f"val/usdr_{target}", value + step / 1000, step)
    table = tmp_path / "curves.csv"
    table.write_text("run,step,vocals,drums,bass,other\nold,250,1,2,3,4\nnew,250,9,9,9,9\n")
    monkeypatch.setattr(ablations, "CURVES", table)
    ablations.add_curves({"new": [tmp_path / "run"], "longer": [tmp_path / "run"] * 2})
    with table.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1:] == [
        ["old", "250", "1", "2", "3", "4"],
        ["new", "250", "0.249", "1.249", "2.249", "3.249"],
        ["new", "500", "0.499", "1.499", "2.499", "3.499"],
        ["longer", "250", "0.249", "1.249", "2.249", "3.249"],
        ["longer", "500", "0.499", "1.499", "2.499", "3.499"],
        ["longer", "750", "0.249", "1.249", "2.249", "3.249"],
        ["longer", "1000", "0.499", "1.499", "2.499", "3.499"],
    ]
    means, targets = learning_curves(read_curves(table)).axes
    assert [list(line.get_ydata()) for line in means.lines] == [[2.5], [1.749, 1.999], [1.749, 1.999] * 2]
    assert [list(line.get_xdata()) for line in targets.lines] == [[250, 500, 750, 1000]] * 4


def test_seeds_are_repeated_once_and_their_spread_is_told(
    ablations: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    trained: list[tuple[str, list[str]]] = []

    def train(run_dir: Path, overrides: list[str]) -> None:
        """In place of a run: the first of seed 2 is stopped after four steps."""
        trained.append((run_dir.name, overrides[-1:]))
        last_step = 3 if len(trained) == 3 else 7
        with SummaryWriter(str(run_dir / "tb_logs")) as board:
            for tag in ("val/usdr", *(f"val/usdr_{source}" for source in SOURCES)):
                board.add_scalar(tag, 1.0 + int(run_dir.name[-1]), last_step)

    monkeypatch.setattr(ablations, "train", train)
    monkeypatch.setenv("COLUMNS", "200")
    words = ["ablations", "--steps", "8", "--only", "8", "--seeds", "0", "1", "2", "--runs", str(tmp_path)]
    monkeypatch.setattr("sys.argv", words)
    every = [(f"8_8_seed{seed}", [f"seed={seed}"]) for seed in range(3)]
    for expected in (every, [*every, every[2]], [*every, every[2]]):  # all; what is not complete; nothing
        ablations.main()
        assert trained == expected
    shown = capsys.readouterr().out
    assert "after 8 steps, 3 seeds" in shown
    assert shown.count("2.00 ± 1.00") == 3 * 5  # the four sources and the mean, three times


def test_one_seed_has_no_spread_and_is_the_recipes_own(
    ablations: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    asked = []

    def scores_after(run_dir: Path, steps: int, overrides: list[str]) -> list[float]:
        asked.append((run_dir.name, steps, overrides))
        return [1.5] * 5

    monkeypatch.setattr(ablations, "scores_after", scores_after)
    monkeypatch.setattr("sys.argv", ["ablations", "--only", "7", "--runs", str(tmp_path)])
    ablations.main()
    assert asked == [("7_250", 250, [*ablations.FIRST_HALF, "optimizer.lr=2e-3"])]
    shown = capsys.readouterr().out
    assert shown.count("1.50") == 5
    assert "±" not in shown


def test_each_further_augmentation_is_alone(ablations: ModuleType) -> None:
    further = {"stem.reverb", "stem.compressor", "mix.band_limit", "mixture.codec"}
    for kept in further:
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            stages = compose("config", ["run_dir=.", *ablations.mastered(kept)]).augmentations
        assert {name for name in further if OmegaConf.select(stages, name)} == {kept}
        assert (len(stages.stem), len(stages.mix)) == (4 + kept.startswith("stem."), 4 + kept.startswith("mix."))
