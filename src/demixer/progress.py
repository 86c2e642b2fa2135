"""One look for every progress bar."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def progress_bar(unit: str = "") -> Iterator[Progress]:
    """A rich progress bar on stderr; silent where stderr is no terminal, so that logs stay readable.

    Use it as ``with progress_bar("songs") as bar: task = bar.add_task(name, total=n); bar.advance(task)``.
    """
    console = Console(stderr=True)
    bar = (BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
    with Progress(
        TextColumn("{task.description}"), *bar, console=console, transient=True, disable=not console.is_terminal
    ) as progress:
        yield progress
