"""Which songs there are: folders that hold ``{source}.wav`` or ``{source}.flac``; only headers are read here."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from demixer.data.splits import Valid, validation_names
from demixer.errors import UserError
from demixer.sources import SOURCES

SUBSETS = ("train", "test")
SUFFIXES = (".wav", ".flac")
LENGTH_SECONDS, LENGTH_SHARE = 0.1, 0.01  # how far the lengths of what belongs together may differ


@dataclass(frozen=True)
class Track:
    """A song: its name, the file of each source that it has, what those files share, and the number of its root."""

    name: str
    paths: dict[str, Path]
    frames: int
    sample_rate_hz: int
    root: int = 0


def find_tracks(
    roots: Path | str | Sequence[Path | str], sources: Sequence[str] = SOURCES, subset: str | None = None
) -> list[Track]:
    """Find every song under ``roots`` that has at least one of ``sources``, sorted by name, and check its files.

    Args:
        roots: One folder or several. A song is any folder in them, at any depth, that holds a source's file.
        sources: File names without suffix; ``mixture`` is one like the others. A song may lack some of them.
        subset: ``train`` or ``test``: only the songs in the root's folder of that name. A root that has neither
            folder is wholly of the subset it is named after, otherwise of ``train``. None: every song.

    Raises:
        UserError: a root does not exist, no song is found, two songs share a name, or files are bad (all listed).
    """
    roots = [roots] if isinstance(roots, str | Path) else roots
    songs: dict[str, dict[str, Path]] = {}
    numbers: dict[str, int] = {}
    for number, root in enumerate(map(Path, roots)):
        if not root.is_dir():
            raise UserError(f"dataset folder `{root}` does not exist")
        for name, paths in _songs_in(root, sources, subset):
            if name in songs:
                one, two = (next(iter(p.values())).parent for p in (songs[name], paths))
                raise UserError(f"two songs are named `{name}`: `{one}` and `{two}`; rename one of the folders")
            songs[name], numbers[name] = paths, number
    if not songs:
        where = ", ".join(f"`{root}`" for root in roots) + (f" (subset `{subset}`)" if subset else "")
        files = ", ".join(f"{source}.wav" for source in sources)
        raise UserError(f"no songs in {where}: looked for folders that hold {files} (or .flac)")
    return [replace(track, root=numbers[track.name]) for track in check_tracks(dict(sorted(songs.items())))]


def check_tracks(songs: dict[str, dict[str, Path]]) -> list[Track]:
    """Read the header of every file of ``{song: {source: path}}``; files of one song must have one length and rate.

    Raises:
        UserError: one message that lists every bad file with its reason.
    """
    tracks: list[Track] = []
    problems: list[str] = []
    for name, paths in songs.items():
        shapes: dict[Path, tuple[int, int]] = {}
        for path in paths.values():
            try:
                shapes[path] = _frames_and_rate(path)
            except ValueError as reason:
                problems.append(f"`{path}`: {reason}")
        problems += _misfits(shapes)
        if shapes:
            tracks.append(Track(name, paths, *next(iter(shapes.values()))))
    if problems:
        raise UserError(f"{len(problems)} bad file(s) in the dataset:\n" + ";\n".join(problems))
    return tracks


def split_tracks(tracks: Sequence[Track], split: str, valid: Valid = None) -> list[Track]:
    """The tracks of one split, ``train`` or ``valid``; which songs ``valid`` means: :func:`validation_names`.

    Raises:
        UserError: there is no such split, or ``valid`` names a song that is not here.
    """
    if split not in ("train", "valid"):
        raise UserError(f"split `{split}` is neither `train` nor `valid`")
    chosen = validation_names({track.name for track in tracks}, valid)
    return [track for track in tracks if (track.name in chosen) == (split == "valid")]


def same_length(frames: int, other: int, sample_rate_hz: int) -> bool:
    """Whether two lengths pass for one: they differ by at most a tenth of a second, or 1 % of the longer one."""
    return abs(frames - other) <= max(LENGTH_SECONDS * sample_rate_hz, LENGTH_SHARE * max(frames, other))


def _songs_in(root: Path, sources: Sequence[str], subset: str | None) -> Iterator[tuple[str, dict[str, Path]]]:
    top = subset_folder(root, subset)
    if top is None:
        return
    for folder, children, files in os.walk(top, followlinks=True):
        children[:] = sorted(child for child in children if not child.startswith("."))
        candidates = ((source, source + suffix) for suffix in reversed(SUFFIXES) for source in sources)
        paths = {source: Path(folder, file) for source, file in candidates if file in files}
        if paths:
            children.clear()  # a song holds no other songs
            name = Path(folder).relative_to(top).as_posix()
            yield (top.resolve().name if name == "." else name), {s: paths[s] for s in sources if s in paths}


def subset_folder(root: Path, subset: str | None) -> Path | None:
    """The folder in ``root`` with a subset's songs, by the rule of :func:`find_tracks`; None if it has none of them."""
    if subset is None:
        return root
    if subset not in SUBSETS:
        raise UserError(f"subset `{subset}` is neither `train` nor `test`")
    if any((root / name).is_dir() for name in SUBSETS):
        return root / subset
    own = root.resolve().name
    return root if subset == (own if own in SUBSETS else "train") else None


def _frames_and_rate(path: Path) -> tuple[int, int]:
    try:
        info = soundfile.info(str(path))
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"cannot be read ({error})") from error
    if info.frames == 0:
        raise ValueError("is empty")
    if info.channels != 2:
        raise ValueError(f"has {info.channels} channel(s), not 2")
    return info.frames, info.samplerate


def _misfits(shapes: dict[Path, tuple[int, int]]) -> list[str]:
    """The files whose length or rate differs from what most files of their song have."""
    values = list(shapes.values())
    if len(set(values)) <= 1:
        return []
    usual = max(values, key=values.count)
    return [
        f"`{path}`: has {frames} frames at {rate} Hz, its siblings {usual[0]} at {usual[1]} Hz"
        for path, (frames, rate) in shapes.items()
        if (frames, rate) != usual
    ]
