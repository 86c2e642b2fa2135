"""What bf16 costs in quality: ``MUSDB_DIR=… python benchmarks/precision.py [-c MODEL]``.

Separates the validation songs in fp32 and in bf16, and prints for each target the lowest signal-to-noise ratio of the
bf16 stem against the fp32 stem, and the largest change of the uSDR, over the songs.
"""

import argparse
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from measured_songs import measured_songs

from demixer.datasets.track_files import read_source
from demixer.errors import run
from demixer.evaluation.metrics import usdr
from demixer.separation.memory import keep_freed_memory
from demixer.separation.separator import Separator


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--ckpt-path", default="musdb18-7s")
    parser.add_argument("-d", "--device", default="auto")
    args = parser.parse_args()
    keep_freed_memory()  # as inference.py does
    exact, fast = (Separator.from_pretrained(args.ckpt_path, args.device, precision) for precision in ("fp32", "bf16"))
    tracks = measured_songs(exact.targets)
    ratios, changes = [], []
    for track in tracks:
        mixture, rate_hz = read_source(track, "mixture"), track.sample_rate_hz
        true = [read_source(track, name) for name in exact.targets]
        pairs = list(zip(exact(mixture, rate_hz).values(), fast(mixture, rate_hz).values(), strict=True))
        ratios.append([usdr(one, other) for one, other in pairs])  # of a stem and its estimate: 10 · log₁₀ of energies
        changes.append([usdr(stem, b) - usdr(stem, a) for stem, (a, b) in zip(true, pairs, strict=True)])
    table = Table("bf16 against fp32, in dB", *exact.targets, title=f"{args.ckpt_path}: {len(tracks)} songs")
    lowest = torch.tensor(ratios).nan_to_num(torch.inf).amin(0)  # silence has none
    table.add_row("lowest SNR", *(f"{value:.1f}" for value in lowest.tolist()))
    largest = torch.tensor(changes).nan_to_num(0).abs().amax(0)
    table.add_row("largest change of uSDR", *(f"{value:.4f}" for value in largest.tolist()))
    Console().print(table)


if __name__ == "__main__":
    run(main)
