"""The index of a target: the segments of the songs in which it sounds, one line each, in samples."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demixer.errors import UserError, of_system
from demixer.temporary import atomic_path

PARTS = ("train", "valid")  # one file for each; which songs are trained on is decided when training begins
LONGEST_SAMPLES = 1 << 40  # nine months at 44.1 kHz: positions are added up in 64 bits


@dataclass(frozen=True)
class Segment:
    """Samples ``start`` to ``end`` (exclusive) of the song named ``track``."""

    track: str
    start: int
    end: int


@dataclass(frozen=True)
class Index:
    """What an index file holds.

    Args:
        segments: In the order of the file.
        frames: The length in samples of every song that was listened to, also of those in which nothing sounds;
            none of a file that was written before lengths were.
    """

    segments: Sequence[Segment]
    frames: Mapping[str, int]

    @property
    def songs(self) -> set[str]:
        """All songs that were listened to, as far as the file tells."""
        return {segment.track for segment in self.segments} | set(self.frames)


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


def write_index(path: Path, index: Index) -> None:
    r"""Write lines of ``{TRACKNAME}\t{START}\t{END}\t{LENGTH}\n``, atomically; 0 to 0 where nothing sounds."""
    silent = [Segment(song, 0, 0) for song in index.frames if song not in {one.track for one in index.segments}]
    lines = [f"{one.track}\t{one.start}\t{one.end}\t{index.frames[one.track]}\n" for one in [*index.segments, *silent]]
    for line in lines:
        if line.count("\t") != 3 or len(line.splitlines()) != 1:
            raise UserError(f"song name in {line!r} holds a tab or a line break, which no index can hold; rename it")
    with atomic_path(path) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8", newline="\n")


def read_index(path: Path) -> Index:
    r"""Read what :func:`write_index` wrote, or an older version of it, without the column LENGTH.

    Raises:
        UserError: the file is missing, or a line of it is not ``{TRACKNAME}\t{START}\t{END}\t{LENGTH}`` with
            0 ≤ start < end ≤ length, or 0 and 0 for a song without a segment.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"index `{path}` does not exist; write it with prepare_dataset.py")
    segments: list[Segment] = []
    frames: dict[str, int] = {}
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(
            f"index `{path}` is damaged, it is no text in UTF-8: write it again with prepare_dataset.py"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read the index {of_system(error)}") from error
    for number, line in enumerate(content.splitlines(), 1):
        segment, length = _parse(line, f"{path}:{number}")
        if length is not None and frames.setdefault(segment.track, length) != length:
            raise UserError(f"{path}:{number}: `{segment.track[:200]}` had {frames[segment.track]} samples before")
        if segment.end:
            segments.append(segment)
    return Index(segments, frames)


def _parse(line: str, where: str) -> tuple[Segment, int | None]:
    name, *numbers = line.split("\t")
    try:
        start, end, *rest = map(int, numbers)
        (length,) = rest or (None,)
    except ValueError:
        start, end, length = 0, 0, None
    silent = start == end == 0 and length is not None
    highest = LONGEST_SAMPLES if length is None else min(length, LONGEST_SAMPLES)
    if not (silent or 0 <= start < end) or end > highest:
        rule = "TRACKNAME, START, END and LENGTH (0 ≤ START < END ≤ LENGTH, in samples)"
        raise UserError(f"{where}: `{line[:200]}` is not {rule} with tabs between")
    return Segment(name, start, end), length
