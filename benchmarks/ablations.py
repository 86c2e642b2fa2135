"""What each part of the shipped recipe is worth: ``python benchmarks/ablations.py [overrides of conf/]``.

Trains every variant of ``VARIANTS`` for the same number of steps, one after the other, and prints the validation uSDR
of each; with ``--init RUN_DIR``, of the second half of the recipe, which begins with that run's network. With
``--seeds 0 1 2`` each is repeated with other initial weights and other crops, and the table has the mean ± the standard
deviation over the seeds. Runs that are complete are only read, runs that were stopped go on. ``--curves RUN_DIR=NAME
FIRST_DIR+SECOND_DIR=NAME …`` adds the validations of finished runs to ``images/learning_curves.csv``, which
``make images`` draws.
"""

import argparse
import csv
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

PROJECT_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT_DIR / "src"))

from demixer.checkpoints.locating import LAST_NAME, RUN_WEIGHTS_DIR
from demixer.paths import LOGS_DIR
from demixer.sources import SOURCES
from demixer.temporary import atomic_path

CURVES = PROJECT_DIR / "images" / "learning_curves.csv"
FIRST_HALF = [
    "experiment=shipped",
    "callbacks.ema.decay=0.98",
    "callbacks.listen.songs=0",
    "model.features=48",
    "model.mask.hidden_factor=2",
    "optimizer.weight_decay=1e-2",
]
ADAMW, ATTENTION = ["optimizer=adamw", "optimizer.lr=1e-3"], ["model.attention={heads: 2, width: 8}"]
PAPER = [*ADAMW, "loss=paper", *ATTENTION]
BEST = ["optimizer.lr=2e-3"]
FURTHER = ("stem.reverb", "stem.compressor", "mix.band_limit", "mixture.codec")


# transformers in the RNNs' place: as many parameters as the network of BEST, 3.3 million, and as many bands
EQUAL = [*BEST, "model.tac=null", "model.heads=4", "model.head_width=16", "model.mask.hidden_factor=1"]
BS_ROFORMER = ["model=bs_roformer_small", *EQUAL, "model.features=64", "model.repeats=4", "model.bands_bins=null"]
MEL_BAND_ROFORMER = ["model=mel_band_roformer_small", *EQUAL, "model.features=40", "model.repeats=6"]
MEL_BAND_ROFORMER += ["model.mel_bands=32", "model.mask.hidden_layers=1"]


def mastered(kept: str) -> list[str]:
    """The strong augmentations and one of the four that ``mastered`` adds."""
    return ["augmentations=mastered", *(f"~augmentations.{name}" for name in FURTHER if name != kept)]


VARIANTS = {
    "AdamW, the paper's loss, TAC and attention": PAPER,
    "… with twice the learning rate": [*PAPER, "optimizer.lr=2e-3"],
    "… without attention": [*ADAMW, "loss=paper"],
    "… without TAC": [*PAPER, "model.tac=null"],
    "… every crop equally loud": [*ADAMW, *ATTENTION],
    "… equally loud, and Muon": [*ATTENTION, "optimizer.lr=2e-3"],
    "… equally loud, Muon with twice the learning rate": [*ATTENTION, "optimizer.lr=4e-3"],
    "… equally loud, Muon, no attention": BEST,
    # the last one's, with another loss, or with more augmentations
    "that one with the signal-to-noise ratio": [*BEST, "loss=snr"],
    "that one with the L1 signal-to-noise ratio": [*BEST, "loss=l1_snr"],
    "that one with spectrograms of five windows": [*BEST, "loss=multi_resolution", "loss.hop_samples=441"],
    "that one without each target's worst twentieth": [*BEST, "loss=truncated"],
    "that one with rooms": [*BEST, *mastered("stem.reverb")],
    "that one with compressors": [*BEST, *mastered("stem.compressor")],
    "that one with lossy codecs": [*BEST, *mastered("mixture.codec")],
    "that one with missing treble": [*BEST, *mastered("mix.band_limit")],
    "that one with all four": [*BEST, "augmentations=mastered"],
    "BS-RoFormer with as many parameters": BS_ROFORMER,
    "Mel-Band RoFormer with as many parameters": MEL_BAND_ROFORMER,
}
SECOND_HALF = [
    "experiment=shipped_tuned",
    "callbacks.ema.decay=0.97",
    "callbacks.listen.songs=0",
    "optimizer.lr=1e-3",
]
SECOND_VARIANTS = {
    "L1, every crop equally loud": ["loss=equal_loudness"],
    "… half of the mixtures songs as they are": ["loss=equal_loudness", "data.remix_probability=0.5"],
    "relative RMS": [],
}


def budget(steps: int) -> list[str]:
    """So many steps of four crops, the last of which is validated."""
    return [f"trainer.max_steps={steps}", f"data.samples_per_epoch={4 * steps // 2}"]


def train(run_dir: Path, overrides: list[str]) -> None:
    """Train to the end, from where an earlier call was stopped."""
    last = run_dir / RUN_WEIGHTS_DIR / LAST_NAME
    resume = [f"ckpt_path={last}"] if last.is_file() else [f"hydra.run.dir={run_dir}"]
    script = PROJECT_DIR / "src" / "train.py"
    subprocess.run([sys.executable, script, *overrides, *resume], check=True)


def validations(run_dir: Path) -> list[dict[str, float]]:
    """The uSDR in dB of each validation, by target, with its step: as TensorBoard has it."""
    log = EventAccumulator(str(run_dir / "tb_logs"))
    log.Reload()
    if "val/usdr" not in log.Tags()["scalars"]:
        return []
    curves = {name: {event.step: event.value for event in log.Scalars(f"val/usdr_{name}")} for name in SOURCES}
    steps = sorted(curves[SOURCES[0]])
    return [{"step": step + 1, **{name: curve[step] for name, curve in curves.items()}} for step in steps]


def scores_after(run_dir: Path, steps: int, overrides: list[str]) -> list[float]:
    """The last validation's uSDR in dB of each source, and their mean, of a run that is trained so far if it is not."""
    rows = validations(run_dir) if run_dir.is_dir() else []
    if not rows or rows[-1]["step"] < steps:
        train(run_dir, [*budget(steps), *overrides])
        rows = validations(run_dir)
    scores = [rows[-1][source] for source in SOURCES]
    return [*scores, sum(scores) / len(scores)]


def mean_and_spread(values: Sequence[float]) -> str:
    """The mean, with the standard deviation of a sample of several.

    >>> mean_and_spread([1.0, 2.0, 3.0]), mean_and_spread([1.5])
    ('2.00 ± 1.00', '1.50')
    """
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{spread}"


def one_after_the_other(run_dirs: list[Path]) -> list[dict[str, float]]:
    """The validations of runs of which each goes on from the one before, with steps that go on as well."""
    rows: list[dict[str, float]] = []
    for run_dir in run_dirs:
        begin = rows[-1]["step"] if rows else 0
        rows += [row | {"step": begin + row["step"]} for row in validations(run_dir)]
    return rows


def add_curves(runs: dict[str, list[Path]]) -> None:
    """Write the runs' validations into the table of learning curves, in place of what it had under their names."""
    with CURVES.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["run"] not in runs]
    for name, run_dirs in runs.items():
        curve = one_after_the_other(run_dirs)
        rows += [{"run": name} | {key: f"{value:.5g}" for key, value in row.items()} for row in curve]
    with atomic_path(CURVES) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["run", "step", *SOURCES], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def series(args: argparse.Namespace) -> Table:
    """Train what is missing of the variants, and put all of them into a table."""
    title = f"validation uSDR in dB after {args.steps} steps"
    table = Table("variant", *SOURCES, "mean", title=title + f", {len(args.seeds)} seeds" * (len(args.seeds) > 1))
    recipe = FIRST_HALF if args.init is None else [*SECOND_HALF, f"init={args.init.resolve()}"]
    variants = VARIANTS if args.init is None else SECOND_VARIANTS
    for number, (name, overrides) in enumerate(variants.items()):
        if args.only and number not in args.only:
            continue
        by_seed = []
        for seed in args.seeds:
            own, folder = ([], "") if seed is None else ([f"seed={seed}"], f"_seed{seed}")
            run_dir = args.runs / f"{'' if args.init is None else 'second_'}{number}_{args.steps}{folder}"
            by_seed.append(scores_after(run_dir, args.steps, [*recipe, *overrides, *args.overrides, *own]))
        table.add_row(name, *map(mean_and_spread, zip(*by_seed, strict=True)))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="settings that all variants share")
    parser.add_argument("--init", type=Path, metavar="RUN_DIR", help="the first half's run, of which variants go on")
    parser.add_argument("--steps", type=int, default=250, help="training steps of each variant (default: %(default)s)")
    parser.add_argument("--only", type=int, nargs="+", metavar="NUMBER", help="some variants, counted from 0")
    help_seeds = "train each variant once for each of these (default: once, with the recipe's own)"
    parser.add_argument("--seeds", type=int, nargs="+", metavar="SEED", default=[None], help=help_seeds)
    parser.add_argument("--runs", type=Path, default=LOGS_DIR / "ablations", help="folder of the runs")
    parser.add_argument(
        "--curves", nargs="+", metavar="RUN_DIR[+RUN_DIR]=NAME", help="only add runs to the learning curves"
    )
    args = parser.parse_args()
    if args.curves:
        named = (curve.split("=", 1) for curve in args.curves)
        add_curves({name: [Path(folder) for folder in folders.split("+")] for folders, name in named})
        return
    Console().print(series(args))


if __name__ == "__main__":
    main()
