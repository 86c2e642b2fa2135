"""What overlap buys: ``MUSDB_DIR=… python benchmarks/hops.py [-c MODEL]``.

uSDR on the validation songs (mean over songs and targets) against compute, for hops from a sixth of a window to a whole
one and each fade, and for shifted copies. The default in a model's ``audio_params`` is chosen from this table.
"""

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from measured_songs import measured_songs

from demixer import AudioParams, Separator
from demixer.datasets.track_files import read_source
from demixer.datasets.tracks import Track
from demixer.errors import run
from demixer.evaluation.metrics import usdr
from demixer.separation.memory import keep_freed_memory

FRACTIONS = (1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1)


def score(separator: Separator, tracks: list[Track]) -> tuple[list[float], float]:
    """Mean uSDR of each target over the songs, and seconds of compute for a second of music."""
    scores, seconds, music_seconds = [], 0.0, 0.0
    for track in tracks:
        mixture, rate_hz = read_source(track, "mixture"), track.sample_rate_hz
        begin = time.perf_counter()
        stems = separator(mixture, rate_hz)
        seconds += time.perf_counter() - begin
        music_seconds += mixture.shape[-1] / rate_hz
        scores.append([usdr(read_source(track, name), stem) for name, stem in stems.items()])
    return torch.tensor(scores).nanmean(0).tolist(), seconds / music_seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--ckpt-path", default="musdb18-7s")
    parser.add_argument("-d", "--device", default="auto")
    parser.add_argument("-p", "--precision", default="auto")
    args = parser.parse_args()
    keep_freed_memory()  # as inference.py does
    separator = Separator.from_pretrained(args.ckpt_path, args.device, args.precision)
    own = separator.audio_params
    tracks = measured_songs(separator.targets)
    choices = [replace(own, hop_seconds=own.window_seconds * f, fade="triangle", shifts=1) for f in FRACTIONS]
    choices += [replace(own, hop_seconds=own.window_seconds / 2, fade=fade, shifts=1) for fade in ("hann", "rectangle")]
    choices += [replace(own, hop_seconds=own.window_seconds / 2, fade="triangle", shifts=2)]
    columns = ("hop / window", "fade", "shifts", *separator.targets, "mean uSDR", "s per s of music")
    table = Table(*columns, title=f"{args.ckpt_path}: {len(tracks)} songs, windows of {own.window_seconds} s")
    for params in choices:
        separator.audio_params = params
        table.add_row(*describe(params), *figures(*score(separator, tracks)))
    Console(width=120).print(table)


def describe(params: AudioParams) -> tuple[str, str, str]:
    return f"{params.hop_seconds / params.window_seconds:.2f}", params.fade, str(params.shifts)


def figures(scores: list[float], seconds: float) -> list[str]:
    return [*(f"{value:.2f}" for value in scores), f"{sum(scores) / len(scores):.3f}", f"{seconds:.3f}"]


if __name__ == "__main__":
    run(main)
