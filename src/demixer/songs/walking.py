"""From inputs to files: folders are searched to all depths, and what cannot be entered costs no other file."""

import errno
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from demixer.audio import AUDIO_SUFFIXES
from demixer.errors import one_line

Refusals = dict[Path, str]  # the reason why a file or folder cannot be used
_Identity = tuple[int, int]  # device and inode


@dataclass(eq=False)
class Found:
    """A file of an input.

    Args:
        file: its path.
        name: its path below the input.
        named: whether the user named the file itself, rather than a folder around it.
    """

    file: Path
    name: Path
    named: bool


def files_of(path: Path, output_dir: Path, refused: Refusals) -> Iterator[Found]:
    """The files of an input: itself, or the audio files below it."""
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        refused[path] = error.strerror or one_line(error)
        return
    if not is_folder:
        yield Found(path, Path(path.name), True)
        return
    for file in _below(path, _identity(output_dir), refused):
        yield Found(file, file.relative_to(path), False)


def _below(top: Path, stems: _Identity | None, refused: Refusals) -> Iterator[Path]:
    """Audio files below a folder; links are followed, but in no circle, and the folder of stems is left out."""
    waiting: list[tuple[Path, tuple[_Identity | None, ...]]] = [(top, ())]  # folders may be deeper than Python's stack
    while waiting:
        folder, parents = waiting.pop()
        identity = _identity(folder)
        if identity in parents or (parents and identity == stems):
            continue
        try:
            entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
        except OSError as error:
            refused[folder] = error.strerror or one_line(error)
            continue
        for entry in entries:
            if _is_folder(entry, refused):
                waiting.append((entry, (*parents, identity)))
            elif entry.suffix.lower() in AUDIO_SUFFIXES and entry not in refused:
                yield entry


def _identity(folder: Path) -> _Identity | None:
    """What is equal for all paths to a folder; None where there is none."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_folder(entry: Path, refused: Refusals) -> bool:
    """Whether an entry is a folder; where that cannot be told, it is refused, unless it is a link to nothing."""
    try:
        return stat.S_ISDIR(entry.stat().st_mode)
    except OSError as error:
        if error.errno != errno.ENOENT or entry.suffix.lower() in AUDIO_SUFFIXES:
            refused[entry] = error.strerror or one_line(error)
        return False
