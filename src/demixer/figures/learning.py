"""How a network learns: the validations of ``images/learning_curves.csv`` over the training steps."""

import csv
from pathlib import Path

from matplotlib.figure import Figure

from demixer.figures.palette import color
from demixer.figures.style import FAINT, INK, new_figure

Curves = dict[str, dict[str, list[float]]]  # run → "step" or target → values in the order of the steps


def read_curves(path: Path) -> Curves:
    """Read the table (run, step, uSDR in dB by target); runs in its order."""
    curves: Curves = {}
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            run = curves.setdefault(row.pop("run"), {name: [] for name in row})
            for name, value in row.items():
                run[name].append(float(value))
    return curves


def learning_curves(curves: Curves) -> Figure:
    """The mean of the targets for every run, and the last run's targets one by one."""
    figure, (means, targets) = new_figure(1, 12, 4.5, columns=2)
    for axis in (means, targets):
        axis.set(xlabel="training step of four crops of 3 s", ylabel="uSDR in dB, validation songs")
    means.set_title("mean of the four targets", loc="left", fontsize=12, fontweight="bold")
    for i, (name, run) in enumerate(curves.items()):
        scores = [values for key, values in run.items() if key != "step"]
        mean = [sum(at_step) / len(at_step) for at_step in zip(*scores, strict=True)]
        last = i == len(curves) - 1
        shade = INK if last else color("mixture")
        means.plot(run["step"], mean, "o-" if last else "o--", color=shade, label=name, markersize=4)
        means.annotate(f"{mean[-1]:.2f}", (run["step"][-1], mean[-1]), (5, 0), textcoords="offset points", va="center")
    means.legend(loc="lower right", edgecolor=FAINT)
    targets.set_title(name, loc="left", fontsize=12, fontweight="bold")
    for target in (key for key in run if key != "step"):
        targets.plot(run["step"], run[target], "o-", color=color(target), markersize=4)
        end = (run["step"][-1], run[target][-1])
        targets.annotate(
            f"{target} {end[1]:.2f}", end, (6, 0), textcoords="offset points", va="center", color=color(target)
        )
    for axis in (means, targets):
        axis.set_xlim(0, axis.get_xlim()[1] * (1.08 if axis is means else 1.2))
    return figure
