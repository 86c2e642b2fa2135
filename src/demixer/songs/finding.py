"""Which files are songs, and what their stems are called."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Self

from demixer.audio import AUDIO_SUFFIXES
from demixer.errors import UserError
from demixer.songs.manifest import Manifests
from demixer.songs.naming import DEFAULT_NAME, NAME_LIMIT_BYTES, bare, longest_name_bytes, same, stem_path
from demixer.songs.walking import Found, Refusals, files_of


@dataclass(frozen=True)
class Song:
    """A file to separate.

    Args:
        path: the file.
        outputs: {stem: the file to write}.
        pattern: the files to write, with a star in the stem's place: whatever stems are written of it.
    """

    path: Path
    outputs: dict[str, Path]
    pattern: Path = Path()

    @property
    def folder(self) -> Path:
        """The folder that holds all of its stems, at whatever depth."""
        return Path(os.path.commonpath([output.parent for output in self.outputs.values()]))

    @property
    def key(self) -> str:
        """What tells it from the other songs of its folder, in 16 hexadecimal digits."""
        return hashlib.sha256(os.fsencode(os.path.relpath(self.pattern, self.folder))).hexdigest()[:16]

    def to_json(self) -> str:
        outputs = {stem: str(path) for stem, path in self.outputs.items()}
        return json.dumps([str(self.path), outputs, str(self.pattern)])

    @classmethod
    def from_json(cls, text: str) -> Self:
        path, outputs, pattern = json.loads(text)
        return cls(Path(path), {stem: Path(output) for stem, output in outputs.items()}, Path(pattern))


def find_songs(
    inputs: Sequence[Path],
    output_dir: Path,
    stems: Sequence[str],
    suffix: str,
    name: str = DEFAULT_NAME,
    model: str = "",
) -> tuple[list[Song], Refusals]:
    """The songs in files and folders, sorted, and what cannot be separated.

    A folder's own folders are repeated in the output folder. Two files that differ in their suffix alone keep it in
    their stems' names: ``song.mp3_vocals.wav``. Hidden files are no songs, and neither are earlier stems: what a
    manifest lists, and what lies in a folder under the name of a stem that is to be written.

    Args:
        inputs: files (whatever their suffix) and folders (searched to all depths for known suffixes).
        output_dir: where stems go.
        stems: names of the stems; "" for a file that holds all of them.
        suffix: of the stems' files.
        name: template of the stems' names (:mod:`demixer.songs.naming`).
        model: the model's name, for the template.

    Raises:
        UserError: there is no song at all.
    """
    refused: Refusals = {}
    _real.cache_clear()
    found = _each_once(one for path in inputs for one in files_of(path, output_dir, refused))
    manifests = Manifests()
    stems_of_ours = {one for one in found if manifests.of(one.file.parent).lists(one.file.name)}
    candidates = [one for one in found if one not in stems_of_ours]
    if not candidates:  # `demix stems/song_drums.wav` means it; `demix *.wav` meant the song beside its stems
        candidates = [one for one in found if one.named]
    twins = Counter(same(bare(one.name)) for one in candidates)
    songs: dict[Found, Song] = {}
    for one in candidates:
        alone = twins[same(bare(one.name))] == 1 or "{ext}" in name
        track = bare(one.name) if alone else one.name
        outputs = {stem: output_dir / stem_path(name, track, stem, one.file, model, suffix) for stem in stems}
        songs[one] = Song(one.file, outputs, output_dir / stem_path(name, track, "*", one.file, model, ""))
    written = {_place(output.with_suffix("")) for song in songs.values() for output in song.outputs.values()}
    songs = {one: song for one, song in songs.items() if one.named or _place(one.file.with_suffix("")) not in written}
    if not songs:
        raise UserError(_nothing(inputs, refused, stems_of_ours))
    refused |= _refusals(songs)
    return [song for song in songs.values() if song.path not in refused], refused


def largest_first(song: Song) -> tuple[int, Path]:
    """The order in which songs are dealt out to processes."""
    try:
        return -song.path.stat().st_size, song.path
    except OSError:  # it has vanished, which is for the one to tell who gets it
        return 0, song.path


def _each_once(found: Iterable[Found]) -> list[Found]:
    """The files, sorted; one that several inputs lead to has the name that the first of them gives it."""
    once: dict[tuple[str, str], Found] = {}
    for one in found:
        first = once.setdefault(_place(one.file), one)
        first.named |= one.named
    return sorted(once.values(), key=lambda one: str(one.file))


def _place(file: Path) -> tuple[str, str]:
    """Where a file lies, however one came there; a link is a file of its own."""
    return _real(file.parent), file.name


@lru_cache(maxsize=1)  # many files of a folder come one after the other
def _real(folder: Path) -> str:
    return os.path.realpath(folder)


def _refusals(songs: dict[Found, Song]) -> Refusals:
    """Songs whose stems have impossible names."""
    wanted = Counter(same(output) for song in songs.values() for output in song.outputs.values())
    inputs = {_place(one.file): one.file for one in songs}
    refused = {}
    for song in songs.values():
        longest = max(map(longest_name_bytes, song.outputs.values()))
        replaced = next((inputs[place] for place in map(_place, song.outputs.values()) if place in inputs), None)
        if longest > NAME_LIMIT_BYTES:
            refused[song.path] = (
                f"its stems' names would have {longest} bytes, and a file system takes {NAME_LIMIT_BYTES}: shorten it"
            )
        elif len(set(map(same, song.outputs.values()))) < len(song.outputs):
            refused[song.path] = "its stems would all have one name: `--name` needs the field {stem}"
        elif any(wanted[same(output)] > 1 for output in song.outputs.values()):
            refused[song.path] = "another input's stems have the same names: rename it, or give it a folder of its own"
        elif replaced is not None:
            refused[song.path] = (
                f"a stem of it would take the place of the input `{replaced}`: choose another folder (-o)"
            )
    return refused


def _nothing(inputs: Sequence[Path], refused: Refusals, stems_of_ours: set[Found]) -> str:
    """Why there is no song."""
    for path, reason in refused.items():
        return f"cannot read `{path}`: {reason}"
    where = " ".join(map(str, inputs))
    if stems_of_ours:
        return f"`{where}` holds nothing but stems that this program wrote: name songs"
    return f"no audio file in `{where}`: known are {' '.join(sorted(AUDIO_SUFFIXES))}"
