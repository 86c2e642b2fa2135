"""One look for every progress bar."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(
    unit: str = "", columns: Sequence[ProgressColumn] = (), hidden: bool = False, speed_over_seconds: float = 30.0
) -> Iterator[Progress]:
    """A rich progress bar on stderr; silent where stderr is no terminal, so that logs stay readable.

    Use it as ``with progress_bar("songs") as bar: task = bar.add_task(name, total=n); bar.advance(task)``. What is
    printed meanwhile stands above the bar, unless stdout leads elsewhere (``> list.txt``).

    Args:
        unit: of the numbers beside the bar.
        columns: what stands beside it instead of them.
        hidden: show nothing.
        speed_over_seconds: the time left is estimated from what was done in that time.
    """
    console = Console(stderr=True)
    counted = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(
        TextColumn("{task.description}"),
        *(columns or counted),
        console=console,
        transient=True,
        disable=hidden or not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # else rich would take what is meant for a file to the terminal
        speed_estimate_period=speed_over_seconds,
    ) as progress:
        yield progress
