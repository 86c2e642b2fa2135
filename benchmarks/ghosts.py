"""What is heard of a source that does not play: ``MUSDB_DIR=… python benchmarks/ghosts.py [-d RUN_DIR …]``.

Listeners mind ghosts in silent passages first, and excerpts of seven seconds hardly have any. So each song is mixed
again without one of its sources; the level of that source's estimate over this mixture's, in dB (mean over songs), is
what a perfect model would have at −∞.
"""

import argparse
import sys
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track as progress
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from measured_songs import measured_songs

from demixer.datasets.track_files import Track, read_source
from demixer.errors import run
from demixer.evaluation.metrics import finite_mean, predicted_energy_at_silence
from demixer.separation.separator import Separator
from demixer.sources import SOURCES


def ghosts(separator: Separator, song: Track) -> list[float]:
    """dB, for each of ``SOURCES`` that the model has, in the model's order."""
    stems = {source: read_source(song, source) for source in SOURCES}
    levels = []
    for target in separator.targets:
        rest = sum(stem for source, stem in stems.items() if source != target)
        estimate = separator.only([target])(rest, song.sample_rate_hz)[target]
        whole = rest.shape[-1]
        levels.append(predicted_energy_at_silence(rest, torch.zeros_like(rest), estimate, whole))
    return levels


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-d", "--run-dir", nargs="+", default=["musdb18-7s"], help="models; default: the shipped one")
    args = parser.parse_args()
    songs = measured_songs(SOURCES)
    table = Table(
        "model", *SOURCES, "mean", title=f"a source that does not play, in dB of the mixture, {len(songs)} songs"
    )
    for model in args.run_dir:
        separator = Separator.from_pretrained(model)
        levels = [ghosts(separator, song) for song in progress(songs, model, transient=True)]
        means = dict(zip(separator.targets, map(finite_mean, zip(*levels, strict=True)), strict=True))
        shown = (f"{means[source]:.1f}" if source in means else "–" for source in SOURCES)
        table.add_row(model, *shown, f"{finite_mean(means.values()):.1f}")
    Console().print(table)


if __name__ == "__main__":
    run(main)
