"""How fast training goes, and whether the loader keeps up: ``python benchmarks/training.py [overrides of conf/]``.

For the small and the paper-size network: optimiser steps a second, the crops a second that they eat, the operations a
second as a share of the matrix product's in the same process, and the peak memory; and for the loader alone the crops
a second that it offers, from disk and from memory. On a GPU also batch sizes, precisions and compile. The songs are
rendered here: ``example/tiny_musdb.py``. ``--memory`` compares activations that are kept with those that are computed
again (``model.checkpointing``) instead of measuring the loader.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import islice, product
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as train.py does, before torch is imported

import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

PROJECT_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT_DIR / "src"))
sys.path.insert(0, str(PROJECT_DIR))
sys.path.insert(0, str(PROJECT_DIR / "benchmarks"))

from flops import beside_matmul, count_flops

from demixer.model.building import build_network
from demixer.separation.devices import choose_device
from demixer.training.config import build
from demixer.training.divided import divided
from demixer.training.runs import model_hparams
from example.tiny_musdb import write_tiny_musdb

LOADERS = (("disk", 0), ("disk", 2), ("memory", 0), ("memory", 2))


def composed(*overrides: str) -> DictConfig:
    with initialize_config_dir(str(PROJECT_DIR / "conf"), version_base="1.3"):
        return compose("config", ["run_dir=.", "data.sad=false", *overrides])


def step_row(
    name: str, precision: str, batch: int, again: bool, compiled: bool, device: torch.device, overrides: list[str]
) -> Any:
    """A row of the table of networks, and the crops a second that the network eats; in a process of its own."""
    cfg = composed(f"model={name}", *overrides)
    network = build_network(model_hparams(cfg)).to(device)
    network.bandsplitrnn.checkpointing = again
    if compiled:
        network.bandsplitrnn.compile()
    loss, optimizer = build(cfg.loss), build(cfg.optimizer)(network.named_parameters())
    length = round(cfg.data.crop_seconds * cfg.featurizer.sample_rate_hz)
    targets = 0.1 * torch.randn(batch, len(cfg.target.targets), 2, length, device=device)
    mixture = targets.sum(1)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
            terms = loss(divided(network, mixture), mixture, targets)
        sum(terms.values()).backward()
        optimizer.step()

    with torch.no_grad():  # the backward pass computes two products for each one
        flops = 3 * count_flops(network, lambda: network(mixture))
    seconds, matmul_flops = beside_matmul(step, dtype, device, repeats=2)
    share = flops / seconds / matmul_flops
    crops = batch / seconds
    row = [name, precision, str(batch), *("yes" if setting else "no" for setting in (again, compiled))]
    rates = [f"{1 / seconds:.3f}", f"{crops:.2f}", f"{flops / seconds / 1e9:.0f}", f"{share:.2f}"]
    return [*row, *rates, f"{peak_mb(device):.0f}"], crops


def loader_crops_per_second(root: Path, where: str, workers: int, augmentations: str, overrides: list[str]) -> float:
    cfg = composed(
        f"data.roots=[{root}]",
        f"augmentations={augmentations}",
        f"data.preload={str(where == 'memory').lower()}",
        f"data.num_workers={workers}",
        "data.batch_size=4",
        *overrides,
    )
    datamodule = build(cfg.data)
    datamodule.setup("fit")
    batches = iter(datamodule.train_dataloader())
    next(batches)
    begin, crops = time.perf_counter(), 0
    for batch in islice(batches, 50):
        crops += len(datamodule.on_after_batch_transfer(batch, 0)["mixture"])
        if time.perf_counter() - begin > 10:
            break
    return crops / (time.perf_counter() - begin)


def peak_mb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="of conf/, for the networks and the loader")
    parser.add_argument("-n", "--networks", nargs="+", default=["bandsplitrnn_small", "bandsplitrnn"])
    parser.add_argument("-p", "--precision", nargs="+", default=["fp32", "bf16"])
    help_batch = "crops a step (default: 1 on processors, whose memory holds four of the small network; 2 8 32 on GPUs)"
    parser.add_argument("-b", "--batch", nargs="+", type=int, help=help_batch)
    parser.add_argument("--memory", action="store_true", help="with and without model.checkpointing; no loader")
    args = parser.parse_args()
    device, console = choose_device("auto"), Console(width=120)
    gpu = device.type == "cuda"
    settings, rates = ("network", "precision", "batch", "again", "compile"), ("steps/s", "crops/s", "GFLOP/s")
    title = f"training steps on {device}, {torch.get_num_threads()} threads; again: model.checkpointing"
    table = Table(*settings, *rates, "share of matmul", "peak MB", title=title)
    appetite = []
    batches, compiled = ((2, 8, 32), (False, True)) if gpu else ((1,), (False,))
    again = (False, True) if args.memory else (False,)
    choices = product(args.networks, args.precision, args.batch or batches, again, compiled)
    for choice in choices:  # each in a process of its own, whose memory is its alone
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            row, crops = process.submit(step_row, *choice, device, args.overrides).result()
        appetite.append(crops)
        table.add_row(*row)
    console.print(table)
    if args.memory:
        return
    hungriest = max(appetite)
    table = Table(
        "songs in", "workers", "augmentations", "crops/s", "of the hungriest network's appetite", title="loader"
    )
    with tempfile.TemporaryDirectory() as folder:
        root = write_tiny_musdb(Path(folder) / "musdb")
        for augmentations in ("paper", "strong"):
            for where, workers in LOADERS:
                offered = loader_crops_per_second(root, where, workers, augmentations, args.overrides)
                table.add_row(where, str(workers), augmentations, f"{offered:.1f}", f"{offered / hungriest:.1f} ×")
    console.print(table)


if __name__ == "__main__":
    main()
