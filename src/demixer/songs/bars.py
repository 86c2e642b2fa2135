"""Progress of a catalogue: songs of all songs with the time left, and seconds of the song that is being separated."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path

from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from demixer.errors import shown
from demixer.progress import progress_bar
from demixer.songs.separating import Advance

DESCRIPTION_CHARACTERS = 40
SPEED_OVER_SECONDS = 600.0  # songs differ in length and format, so the speed is averaged over many


class Bars:
    """The bars of one process: one of all songs, by the bytes of their files, and one of the song at hand.

    Args:
        progress: draws them.
        sizes: bytes of each song, in the order in which they are done.
    """

    def __init__(self, progress: Progress, sizes: Sequence[int]) -> None:
        self.progress, self.sizes = progress, sizes
        self.before = [0, *accumulate(sizes)]
        self.all = progress.add_task("songs", total=self.before[-1], count=f"0/{len(sizes)}")

    @contextmanager
    def song(self, number: int, path: Path) -> Iterator[Callable[[float | None], Advance]]:
        """Show the song of a number; gives what is told its seconds, and then of each that is done."""
        self._show(number, 0.0)
        one = self.progress.add_task(escape(shown(path.name)[:DESCRIPTION_CHARACTERS]), total=None, count="")
        done = 0.0

        def begin(seconds: float | None) -> Advance:
            def advance(more: float) -> None:
                nonlocal done
                done += more
                of = "" if seconds is None else f"/{seconds:.0f}"
                self.progress.update(one, completed=done, total=seconds, count=f"{done:.0f}{of} s")
                self._show(number, min(1.0, done / seconds) if seconds else 0.0)

            return advance

        try:
            yield begin
        finally:
            self.progress.remove_task(one)
            self._show(number, 1.0)

    def _show(self, number: int, part: float) -> None:
        count = f"{number + (part == 1.0)}/{len(self.sizes)}"
        self.progress.update(self.all, completed=self.before[number] + part * self.sizes[number], count=count)


@contextmanager
def bars(sizes: Sequence[int], hidden: bool = False) -> Iterator[Bars]:
    """Show progress on stderr, where that is a terminal."""
    columns = (BarColumn(), TextColumn("{task.fields[count]}"), TimeRemainingColumn())
    with progress_bar(columns=columns, hidden=hidden, speed_over_seconds=SPEED_OVER_SECONDS) as progress:
        yield Bars(progress, sizes)
