"""What a training step costs beside the network: ``python benchmarks/overhead.py [overrides of conf/]``.

A network so small that it costs next to nothing is trained through :func:`demixer.training.train.train`, with all that
a run has around its steps, on one batch over and over; beside it the same steps as a bare loop. What lies between is
the loop, its callbacks, its log and its checks.
"""

import argparse
import logging
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from unittest import mock

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

PROJECT_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT_DIR / "src"))

from demixer.model.building import build_network
from demixer.separation.devices import choose_device
from demixer.training.config import build, build_all
from demixer.training.runs import model_hparams
from demixer.training.train import train

TINY = ["model.features=8", "model.repeats=1", "target.bands_hz=[[4000,4000]]", "featurizer.hop_samples=1024"]
WARM_UP = 50  # steps that are not counted


class Stopwatch(pl.Callback):
    """Notes when each step ends."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def on_train_batch_end(self, *_: object) -> None:
        self.times.append(time.perf_counter())


class OneBatch(pl.LightningDataModule):
    """The same batch so many times."""

    def __init__(self, steps: int, batch: dict) -> None:
        super().__init__()
        self.steps, self.batch = steps, batch

    def train_dataloader(self) -> DataLoader:
        return DataLoader([self.batch] * self.steps, batch_size=None)


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(PROJECT_DIR / "conf"), version_base="1.3"):
        return compose("config", [*TINY, *overrides])


def batch_of(cfg: DictConfig) -> dict:
    targets = 0.1 * torch.randn(2, len(cfg.target.targets), 2, 4096)
    return {"mixture": targets.sum(1), "targets": targets, "songs": [["a"], ["b"]], "index": [0, 1]}


def timed(group: DictConfig, cfg: DictConfig, stopwatch: Stopwatch) -> list:
    return [*build_all(group), *([stopwatch] if group is cfg.callbacks else [])]


def milliseconds_in_training(steps: int, overrides: list[str]) -> float:
    stopwatch = Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        cfg = composed(f"run_dir={folder}", f"trainer.max_steps={steps}", "trainer.devices=1", *overrides)
        data = OneBatch(steps, batch_of(cfg))
        with (
            mock.patch("demixer.training.train.build_data", return_value=data),
            mock.patch("demixer.training.train.build_all", lambda group: timed(group, cfg, stopwatch)),
        ):
            train(cfg)
    times = stopwatch.times[WARM_UP:]
    return 1000 * median(later - sooner for sooner, later in pairwise(times))


def milliseconds_bare(steps: int, overrides: list[str], device: torch.device) -> tuple[float, float]:
    """Of a step, and of the optimiser's part of it."""
    cfg = composed("run_dir=.", *overrides)
    network = build_network(model_hparams(cfg)).to(device)
    loss, optimizer = build(cfg.loss), build(cfg.optimizer)(network.named_parameters())
    batch = {name: value.to(device) for name, value in batch_of(cfg).items() if isinstance(value, torch.Tensor)}
    whole, optimising = [], []
    for _ in range(steps):
        begin = time.perf_counter()
        optimizer.zero_grad()
        sum(loss(network, batch["mixture"], batch["targets"]).values()).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0).item()  # waits for the device
        middle = time.perf_counter()
        optimizer.step()
        if device.type == "cuda":
            torch.cuda.synchronize()
        whole.append(time.perf_counter() - begin)
        optimising.append(time.perf_counter() - middle)
    return 1000 * median(whole[WARM_UP:]), 1000 * median(optimising[WARM_UP:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="of conf/")
    parser.add_argument("-n", "--steps", type=int, default=400)
    args = parser.parse_args()
    device = choose_device("auto")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    table = Table("optimizer", "training", "bare loop", "between", "its optimizer step", title=f"ms a step on {device}")
    for name in ("adam", "muon"):
        overrides = [f"optimizer={name}", *args.overrides]
        training = milliseconds_in_training(args.steps, overrides)
        bare, optimising = milliseconds_bare(args.steps, overrides, device)
        table.add_row(name, *(f"{value:.2f}" for value in (training, bare, training - bare, optimising)))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
