"""What latency costs in quality: ``python benchmarks/latency.py [overrides of conf/]``.

Trains the live network at each latency, and a network of the same widths that hears the whole song, all for as many
steps, on the same data and with the same recipe, one after the other; prints the validation uSDR of each, and writes
``images/latency.csv``, the table of ``demixer.figures.latency``. Runs that are complete are only read, runs that were
stopped go on.
"""

import argparse
import csv
from pathlib import Path

from ablations import scores_after
from rich.console import Console
from rich.table import Table

from demixer.checkpoints.hparams import read_hparams
from demixer.model.building import build_network
from demixer.paths import LOGS_DIR, PROJECT_DIR
from demixer.sources import SOURCES
from demixer.temporary import atomic_path

TABLE = PROJECT_DIR / "images" / "latency.csv"
RECIPE = ["experiment=live", "callbacks.listen.songs=0"]
# the sequence model runs both ways; TAC, masks, bands and hop are those of experiment=live
OFFLINE = ["model=obsrnn_small", "model.attention=null", "model.rnn_factor=1", "model.features=96"]
OFFLINE += ["model.mask={hidden_factor: 1, hidden_layers: 1}", "model.tac.factor=1", "model.band_edges=nominal"]
OFFLINE += ["featurizer=stft", "featurizer.hop_samples=1024"]
POINTS = {
    "12 ms": ["featurizer=live_12ms"],
    "23 ms": ["featurizer=live_23ms"],
    "46 ms": [],
    "93 ms": ["model.look_ahead=2"],
    "offline": OFFLINE,
}


def latency_ms(run_dir: Path) -> float | None:
    """Of a run's network; None of one that hears the whole song."""
    network = build_network(read_hparams(run_dir))
    samples = getattr(network, "latency_samples", None)
    return None if samples is None else 1000 * samples / network.sample_rate_hz


def series(runs: Path, steps: int, overrides: list[str]) -> list[dict[str, object]]:
    """Train what is missing of the points; each with its latency and its last validation, in the order of the curve."""
    rows = []
    for name, point in POINTS.items():
        run_dir = runs / f"{name.replace(' ', '_')}_{steps}"
        scores = scores_after(run_dir, steps, [*RECIPE, *point, *overrides])
        latency = latency_ms(run_dir)
        cells = {"point": name, "latency_ms": "" if latency is None else f"{latency:.2f}", "steps": steps}
        rows.append(cells | {key: f"{value:.2f}" for key, value in zip((*SOURCES, "mean"), scores, strict=True)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="settings that all points share, as model.features=64")
    parser.add_argument("--steps", type=int, default=1500, help="training steps of each point (default: %(default)s)")
    parser.add_argument("--runs", type=Path, default=LOGS_DIR / "latency", help="folder of the runs")
    parser.add_argument("--table", type=Path, default=TABLE, help="the table that is written (default: images/)")
    args = parser.parse_args()
    rows = series(args.runs, args.steps, args.overrides)
    with atomic_path(args.table) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    shown = Table(*rows[0], title="validation uSDR in dB")
    for row in rows:
        shown.add_row(*map(str, row.values()))
    Console().print(shown)


if __name__ == "__main__":
    main()
