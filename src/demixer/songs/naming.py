"""What stems are called: a template of fields, which never leads out of the output folder."""

import os
import string
import sys
from pathlib import Path

from demixer.errors import UserError

DEFAULT_NAME = "{folder}/{track}_{stem}"
FIELDS = ("track", "stem", "folder", "model", "ext")
NAME_LIMIT_BYTES = 255
# Native Instruments' format for several streams in one file; MUSDB18 comes in it
STEM_FILE_SUFFIXES = (".stem.mp4", ".stem.m4a")


def check_template(template: str) -> None:
    """Make sure that a template of names can be filled in.

    Raises:
        UserError: it has an unknown field, or leads out of the output folder.
    """
    try:
        parts = [part[1:] for part in string.Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise UserError(f"`name` (={template!r}): {error}: write a brace twice to mean it") from error
    for field, *formatting in parts:
        if field not in FIELDS or any(formatting):
            raise UserError(f"`name` (={template!r}) has the field {field!r}: known are {', '.join(FIELDS)}")
    if not any(field == "track" for field, *_ in parts):
        raise UserError(f"`name` (={template!r}) needs the field {{track}}, or all songs' stems would have one name")
    filled = Path(template.format(**dict.fromkeys(FIELDS, "x")))
    if filled.is_absolute() or ".." in filled.parts or template.endswith(("/", os.sep)):
        raise UserError(f"`name` (={template!r}) must name a file below the output folder: no leading /, no ..")


def stem_path(template: str, track: Path, stem: str, song: Path, model: str, suffix: str) -> Path:
    """The name of a stem below the output folder.

    Args:
        template: fields in braces: track, stem, folder (of the track, below the input), model, ext (the song's own).
        track: the song's name below the input, without its suffix.
        stem: the stem's name; "" of a file that holds all of them, whose name has no ``_{stem}``.
        song: the file.
        model: the model's name.
        suffix: of the stem's file.

    >>> stem_path("{track}/{stem}", Path("album/song"), "vocals", Path("song.mp3"), "", ".wav").as_posix()
    'song/vocals.wav'
    >>> stem_path("{track}_{stem}", Path("song"), "", Path("song.mp3"), "", ".stem.m4a").as_posix()
    'song.stem.m4a'
    >>> stem_path("{track}/{stem}", Path(".."), "vocals", Path("...wav"), "", ".wav").as_posix()
    '_/vocals.wav'
    """
    if not stem:
        template, stem = template.replace("_{stem}", ""), "stems"
    folder, ext = str(track.parent), song.suffix.removeprefix(".")
    name = "_" if track.name in (".", "..") else track.name
    return Path(template.format(track=name, stem=stem, folder=folder, model=model, ext=ext) + suffix)


def bare(name: Path) -> Path:
    """The name without its suffix."""
    for suffix in STEM_FILE_SUFFIXES:
        if name.name.lower().endswith(suffix):
            return name.with_name(name.name[: -len(suffix)])
    return name.with_suffix("")


def same(path: Path) -> str:
    """Equal for names that the file system takes for the same."""
    return str(path).casefold() if sys.platform in ("darwin", "win32") else str(path)


def longest_name_bytes(path: Path) -> int:
    """Bytes of the longest part of a path."""
    return max(len(os.fsencode(part)) for part in path.parts)
