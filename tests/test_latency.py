"""The latency–quality series: its points differ in latency and in nothing else, and its picture shows its table."""

import csv
import importlib
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hydra import compose, initialize_config_dir

import demixer.training.config  # noqa: F401  (registers the resolvers)
from demixer.checkpoints.hparams import write_hparams
from demixer.figures.latency import latency_curve, read_points
from demixer.model.building import build_network
from demixer.model.modules.band_sequence import TACConfig
from demixer.paths import CONF_DIR, PROJECT_DIR
from demixer.training.runs import model_hparams


@pytest.fixture
def latency(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT_DIR / "benchmarks"))
    return importlib.import_module("latency")


def test_points_differ_in_latency_and_in_nothing_else(latency: ModuleType, tmp_path: Path) -> None:
    latencies, recipes, tables, widths = [], set(), set(), set()
    for name, point in latency.POINTS.items():
        with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
            config = compose("config", ["run_dir=.", *latency.RECIPE, *point])
        hparams = model_hparams(config)
        write_hparams(tmp_path / name, hparams)
        latencies.append(latency.latency_ms(tmp_path / name))
        recipes.add(str({key: value for key, value in config.items() if key not in ("model", "featurizer")}))
        with torch.device("meta"):
            network = build_network(hparams)
        tables.add(str(network.bandsplitrnn.split.table.widths))
        sizes = [hparams["model"][size] for size in ("features", "repeats", "rnn_factor", "mask")]
        widths.add(str([*sizes, TACConfig(**hparams["model"]["tac"])]))
    assert latencies == [*(pytest.approx(1000 * (samples - 1) / 44_100) for samples in (512, 1024, 2048, 4096)), None]
    assert (len(recipes), len(tables), len(widths)) == (1, 1, 1)


def test_the_table_has_each_points_last_validation_and_the_picture_shows_it(
    latency: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = []

    def scores_after(run_dir: Path, steps: int, overrides: list[str]) -> list[float]:
        trained.append((run_dir.name, steps, overrides[-1]))
        return [1.0, 2.0, 3.0, 4.0, float(len(trained))]

    monkeypatch.setattr(latency, "scores_after", scores_after)
    monkeypatch.setattr(latency, "latency_ms", lambda run_dir: None if "offline" in run_dir.name else 11.587)
    table = tmp_path / "latency.csv"
    command = ["latency.py", "--steps", "8", "--runs", str(tmp_path), "--table", str(table), "model.features=8"]
    monkeypatch.setattr("sys.argv", command)
    latency.main()
    names = ("12_ms_8", "23_ms_8", "46_ms_8", "93_ms_8", "offline_8")
    assert trained == [(name, 8, "model.features=8") for name in names]
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["latency_ms"] for row in rows] == [*["11.59"] * 4, ""]
    assert [row["mean"] for row in rows] == ["1.00", "2.00", "3.00", "4.00", "5.00"]
    (axis,) = latency_curve(read_points(table)).axes
    assert [list(line.get_ydata()) for line in axis.lines][:1] == [[1.0] * 5]
    assert list(axis.lines[4].get_ydata()) == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert [tick.get_text() for tick in axis.get_xticklabels()] == [*["12 ms"] * 4, "the whole song"]
