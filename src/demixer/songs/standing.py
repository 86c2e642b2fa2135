"""What there is of a song's stems, and what is therefore to be done: nothing of the user's is ever replaced unasked."""

from dataclasses import dataclass
from pathlib import Path

from demixer.songs.finding import Song
from demixer.songs.manifest import Entry, FileState, Manifests
from demixer.songs.recipe import Recipe

FOREIGN = "this program did not write it"
EDITED = "it was changed after this program wrote it"


@dataclass(frozen=True)
class Standing:
    """How it stands with a song.

    Args:
        reason: why it is to be separated; None: it is not.
        kept: files that are not replaced, and why.
        entry: of stems that are there.
    """

    reason: str | None
    kept: dict[Path, str]
    entry: Entry | None = None

    @property
    def damage(self) -> str | None:
        """What was wrong with the song that the stems are of."""
        return self.entry.damage if self.entry else None


def standing_of(song: Song, recipe: Recipe, manifests: Manifests, overwrite_before: str | None = None) -> Standing:
    """Look at a song's stems.

    An empty file is none. A stem that the manifest lists, unchanged, is current if the same call would write it from
    the same source, and otherwise stale: then, and where one is missing, all of the song's are made again together, so
    that their levels agree. Other files of their names are the user's, or another song's, and kept; ``overwrite``
    replaces all.
    """
    source = state_of(song.path)
    missing, stale, kept, entry = [], [], {}, None
    for output in song.outputs.values():
        entries = manifests.of(output.parent).refresh().entries_of(output.name)
        if _is_missing(output):
            missing.append(output)
        elif mine := next((one for one in entries if one.states()[output.name].is_of(output)), None):
            entry = mine
            if _is_of_another(mine, song.path, source):
                kept[output] = f"it is of `{mine.song}`, and --name tells them apart"
            else:
                stale += filter(None, [_staleness(mine, source, recipe)])
        else:
            kept[output] = EDITED if entries else FOREIGN
    current = entry is not None and not (missing or stale or kept)
    if overwrite_before is not None and not (current and entry.time > overwrite_before):
        there = len(missing) < len(song.outputs)
        return Standing("--overwrite" if there else "new", {}, entry)
    if missing and not stale:
        new = len(missing) == len(song.outputs)
        stale = ["new" if new else f"`{missing[0].name}` is missing"]
    return Standing(stale[0] if stale else None, kept, entry)


def _is_missing(path: Path) -> bool:
    state = state_of(path)
    return state is None or not state.bytes


def state_of(path: Path) -> FileState | None:
    """A file's state; None where there is none to be read."""
    try:
        return FileState.of(path)
    except OSError:
        return None


def _is_of_another(entry: Entry, path: Path, source: FileState | None) -> bool:
    """Whether stems were made from another song, which is still there, as ``a/01.mp3`` is beside ``b/01.mp3``."""
    other = source is not None and entry.source != source and entry.song != str(path)
    return other and not _is_missing(Path(entry.song))


def _staleness(entry: Entry, source: FileState | None, recipe: Recipe) -> str | None:
    """Why a stem that is there is not what would be written; a song that cannot be read makes nothing stale."""
    if source is not None and entry.source != source:
        return "its file has changed"
    return recipe.difference(entry)
