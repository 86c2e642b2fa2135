"""Which files are songs, and what their stems are called."""

import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from demixer.audio import AUDIO_SUFFIXES
from demixer.errors import UserError, one_line

NAME_LIMIT_BYTES = 255
# Native Instruments' format for several streams in one file; MUSDB18 comes in it
STEM_FILE_SUFFIXES = (".stem.mp4", ".stem.m4a")

Refusals = dict[Path, str]  # the reason why a file or folder cannot be used


@dataclass(frozen=True)
class Song:
    """A file to separate.

    Args:
        path: the file.
        outputs: {stem: the file to write}.
    """

    path: Path
    outputs: dict[str, Path]

    def is_complete(self) -> bool:
        return all(output.exists() for output in self.outputs.values())


def find_songs(
    inputs: Sequence[Path], output_dir: Path, stems: Sequence[str], suffix: str
) -> tuple[list[Song], Refusals]:
    """The songs in files and folders, sorted, and what cannot be separated.

    A folder's own folders are repeated in the output folder. Two files that differ in their suffix alone keep it in
    their stems' names: ``song.mp3_vocals.wav``. Hidden files and earlier stems in the output folder are no songs.

    Args:
        inputs: files (whatever their suffix) and folders (searched to all depths for known suffixes).
        output_dir: where stems go.
        stems: names of the stems; "" for a file that holds all of them.
        suffix: of the stems' files.

    Raises:
        UserError: there is no song at all.
    """
    refused: Refusals = {}
    listed = [pair for path in inputs for pair in _files(path, output_dir, refused)]
    found = sorted({str(file.absolute()): (file, name) for file, name in listed}.values())
    bare_names = Counter(_same(_bare(name)) for _, name in found)
    songs = []
    for file, name in found:
        stem_of = name if bare_names[_same(_bare(name))] > 1 else _bare(name)
        songs.append(Song(file, {stem: output_dir / f"{stem_of}{_ending(stem)}{suffix}" for stem in stems}))
    written = {output.with_suffix("").resolve() for song in songs for output in song.outputs.values()}
    songs = [song for song in songs if song.path.with_suffix("").resolve() not in written]
    if not songs:
        reason = next((f"cannot read `{path}`: {reason}" for path, reason in refused.items()), None)
        where = " ".join(map(str, inputs))
        raise UserError(reason or f"no audio file in `{where}`: known are {' '.join(sorted(AUDIO_SUFFIXES))}")
    refused |= _impossible_names(songs)
    return [song for song in songs if song.path not in refused], refused


def _files(path: Path, output_dir: Path, refused: Refusals) -> Iterator[tuple[Path, Path]]:
    """(file, its name below the input) of an input."""
    try:
        path.stat()
    except OSError as error:
        refused[path] = error.strerror or one_line(error)
        return
    if not path.is_dir():
        yield path, Path(path.name)
        return
    for file in _walk(path, output_dir.resolve(), (), refused):
        yield file, file.relative_to(path)


def _walk(folder: Path, output_dir: Path, parents: tuple[Path, ...], refused: Refusals) -> Iterator[Path]:
    """Audio files below a folder; links are followed, but in no circle, and the output folder is left out."""
    real = folder.resolve()
    if real in parents or (parents and real == output_dir):
        return
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        refused[folder] = error.strerror or one_line(error)
        return
    for entry in entries:
        if entry.is_dir():
            yield from _walk(entry, output_dir, (*parents, real), refused)
        elif entry.suffix.lower() in AUDIO_SUFFIXES:
            yield entry


def _bare(name: Path) -> Path:
    """The name without its suffix."""
    for suffix in STEM_FILE_SUFFIXES:
        if name.name.lower().endswith(suffix):
            return name.with_name(name.name[: -len(suffix)])
    return name.with_suffix("")


def _ending(stem: str) -> str:
    """What a stem's file has after the song's name; a file of all stems has nothing."""
    return f"_{stem}" if stem else ""


def _same(path: Path) -> str:
    """Equal for names that the file system takes for the same."""
    return str(path).casefold() if sys.platform in ("darwin", "win32") else str(path)


def _impossible_names(songs: Sequence[Song]) -> Refusals:
    wanted = Counter(_same(output) for song in songs for output in song.outputs.values())
    refused = {}
    for song in songs:
        longest = max(len(os.fsencode(output.name)) for output in song.outputs.values())
        if longest > NAME_LIMIT_BYTES:
            refused[song.path] = (
                f"its stems' names would have {longest} bytes, and a file system takes {NAME_LIMIT_BYTES}: shorten it"
            )
        elif any(wanted[_same(output)] > 1 for output in song.outputs.values()):
            refused[song.path] = "another input's stems have the same names: rename it, or give it a folder of its own"
    return refused
