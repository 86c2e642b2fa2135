"""An evaluation as a table for the terminal."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demixer.evaluation.intervals import intervals
from demixer.evaluation.metrics import finite_mean
from demixer.evaluation.scores import METRICS, Evaluation, Score, summarise
from demixer.evaluation.wording import decibels, heading


def print_tables(evaluation: Evaluation) -> None:
    """Show an evaluation on the screen; where that is none, 120 columns wide."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    console.print(screen_table(evaluation, console.width))
    if "latency" in evaluation.about:
        console.print(f"latency {evaluation.about['latency']}")
    if len(evaluation.metrics) > len(METRICS):
        console.print(further_table(evaluation))


def screen_table(evaluation: Evaluation, width: int = 120) -> Table:
    """The scores as a table for a terminal ``width`` columns wide: a song a row, then the summary and the mixture."""
    digits, extra = (2, ("mean",)) if width >= 100 else (1, ())
    title = " · ".join(str(evaluation.about[key]) for key in ("model", "subset", "split") if evaluation.about.get(key))
    table = Table(title=f"{title}: uSDR / cSDR in dB", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("song", overflow="fold")
    for name in (*evaluation.targets, *extra):
        table.add_column(name, justify="right", no_wrap=True)
    by_song: dict[str, dict[str, Score]] = {}
    for score in evaluation.scores:
        by_song.setdefault(score.song, {})[score.target] = score
    for song, row in by_song.items():
        cells = {target: vars(score) for target, score in row.items()}
        cells["mean"] = {metric: finite_mean(getattr(score, metric) for score in row.values()) for metric in METRICS}
        table.add_row(Text(song), *(_cell(cells.get(name, {}), digits) for name in (*evaluation.targets, *extra)))
    table.add_section()
    summary = summarise(evaluation)
    rows = [summary[name] for name in (*evaluation.targets, *extra)]
    table.add_row("all songs: mean / median", *(_cell(row, digits) for row in rows), style="bold")
    spread = intervals(evaluation, "usdr_db")
    cells = (
        " … ".join(decibels(edge, digits=digits) for edge in spread[name]) for name in (*evaluation.targets, *extra)
    )
    table.add_row("95 % interval of the mean", *cells, style="dim")
    table.add_row("the plain mixture", *(_cell(row, digits, "mixture_") for row in rows), style="dim")
    return table


def further_table(evaluation: Evaluation) -> Table:
    """What was measured beside uSDR and cSDR, next to our cSDR: a target a row, each in summary over the songs."""
    further = [name for name in evaluation.metrics if name not in METRICS]
    table = Table(title="over all songs, in dB", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("target")
    for name in ("our cSDR", *map(heading, further)):
        table.add_column(name, justify="right", no_wrap=True)
    for target, row in summarise(evaluation).items():
        table.add_row(target, *(decibels(row[name], digits=3) for name in ("csdr_db", *further)))
    return table


def _cell(row: dict[str, float], digits: int, prefix: str = "") -> str:
    usdr_db, csdr_db = (decibels(row.get(f"{prefix}{name}_db"), digits=digits) for name in ("usdr", "csdr"))
    return f"{usdr_db} / {csdr_db}"
