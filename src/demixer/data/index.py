"""The index of a target: the segments of the songs in which it sounds, one line each, in samples."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from demixer.errors import UserError
from demixer.temporary import atomic_path


@dataclass(frozen=True)
class Segment:
    """Samples ``start`` to ``end`` (exclusive) of the song named ``track``."""

    track: str
    start: int
    end: int


def index_path(folder: Path, target: str, part: str) -> Path:
    """The index file of ``target``; ``part`` is ``train`` or ``valid`` (both of the subset train) or ``test``."""
    return Path(folder) / f"{target}_{part}.txt"


def covered_samples(segments: Iterable[Segment]) -> int:
    """How many samples of the songs lie in at least one segment.

    >>> covered_samples([Segment("a", 0, 6), Segment("a", 3, 9), Segment("b", 0, 2)])
    11
    """
    total, reached = 0, {}
    for segment in sorted(segments, key=lambda s: (s.track, s.start)):
        start = max(segment.start, reached.get(segment.track, 0))
        total += max(0, segment.end - start)
        reached[segment.track] = max(segment.end, start)
    return total


def write_index(path: Path, segments: Iterable[Segment]) -> None:
    r"""Write lines of ``{TRACKNAME}\t{START}\t{END}\n``, atomically."""
    lines = [f"{segment.track}\t{segment.start}\t{segment.end}\n" for segment in segments]
    for line in lines:
        if line.count("\t") != 2 or len(line.splitlines()) != 1:
            raise UserError(f"song name in {line!r} holds a tab or a line break, which no index can hold; rename it")
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", newline="\n")


def read_index(path: Path) -> list[Segment]:
    r"""Read what :func:`write_index` wrote.

    Raises:
        UserError: the file is missing, or a line of it is not ``{TRACKNAME}\t{START}\t{END}`` with 0 ≤ start < end.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"index `{path}` does not exist; write it with prepare_dataset.py")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [_segment(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]


def _segment(line: str, where: str) -> Segment:
    name, *numbers = line.split("\t")
    try:
        start, end = map(int, numbers)
    except ValueError:
        start, end = 0, 0
    if not 0 <= start < end:
        raise UserError(f"{where}: `{line}` is not TRACKNAME, START and END (0 ≤ START < END) with tabs between")
    return Segment(name, start, end)
