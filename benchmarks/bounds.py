"""What there is to gain: ``MUSDB_DIR=… python benchmarks/bounds.py [--subset train --split valid]``.

uSDR (mean over songs) of the plain mixture as the estimate, which any network should beat, and of the oracle ratio
mask |stem| / Σ |stems| on the mixture's spectrogram, which no network of real masks passes.
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
from demixer.model.modules.spectrogram import Spectrogram
from demixer.sources import SOURCES


def oracle_ratio_mask(mixture: torch.Tensor, stems: torch.Tensor) -> torch.Tensor:
    """(C, L) and (S, C, L) → the estimates (S, C, L)."""
    spectrogram = Spectrogram(2048, 512)
    magnitudes = spectrogram(stems).abs()
    masks = magnitudes / magnitudes.sum(0, keepdim=True).clamp_min(1e-9)
    return spectrogram.inverse(masks * spectrogram(mixture), mixture.shape[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--subset", choices=("train", "test"), default="train")
    parser.add_argument("--split", choices=("train", "valid"), default="valid")
    args = parser.parse_args()
    tracks = measured_songs(SOURCES, args.subset, args.split)
    scores: dict[str, list[list[float]]] = {"the mixture itself": [], "oracle ratio mask": []}
    for track in tracks:
        mixture = read_source(track, "mixture")
        stems = torch.stack([read_source(track, name) for name in SOURCES])
        for name, estimates in zip(scores, (mixture.expand_as(stems), oracle_ratio_mask(mixture, stems)), strict=True):
            scores[name].append([usdr(*pair) for pair in zip(stems, estimates, strict=True)])
    table = Table("estimate", *SOURCES, "mean", title=f"uSDR in dB, {len(tracks)} songs")
    for name, values in scores.items():
        means = torch.tensor(values).nanmean(0)
        table.add_row(name, *(f"{mean:.2f}" for mean in means), f"{means.nanmean():.2f}")
    Console().print(table)


if __name__ == "__main__":
    run(main)
