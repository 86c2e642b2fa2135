"""Which songs there are, and which files hold their sources; only headers are read here."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from demixer.datasets.layouts import FOLDERS, find_songs, layout_of_each
from demixer.datasets.splits import SPLITS, Valid, songs_named, validation_names
from demixer.datasets.track_files import Paths, Track, check_tracks
from demixer.errors import UserError
from demixer.sources import SOURCES


def find_tracks(
    roots: Path | str | Sequence[Path | str],
    sources: Sequence[str] = SOURCES,
    subset: str | None = None,
    layout: str | Sequence[str] = FOLDERS,
) -> list[Track]:
    """Find every song under ``roots`` that has at least one of ``sources``, sorted by name, and check its files.

    Args:
        roots: One folder or several.
        sources: In the layout ``folders``, file names without suffix; ``mixture`` is one like the others. A song may
            lack some of them.
        subset: ``train`` or ``test``: only the songs in the root's folder of that name. A root that has neither
            folder is wholly of the subset it is named after, otherwise of ``train``. None: every song.
        layout: How songs lie in the roots, see :mod:`demixer.datasets.layouts`: one name for all, or one for each.

    Raises:
        UserError: a root does not exist, no song is found, two songs share a name, or files are bad (all listed).
    """
    roots = [Path(roots)] if isinstance(roots, str | Path) else list(map(Path, roots))
    songs: dict[str, tuple[Paths, int]] = {}
    layouts = layout_of_each(layout, roots)
    for number, (root, way) in enumerate(zip(roots, layouts, strict=True)):
        if not root.is_dir():
            raise UserError(f"dataset folder `{root}` does not exist")
        for name, paths in find_songs(way, root, sources, subset):
            if name in songs:
                one, two = (next(iter(p.values()))[0].parent for p in (songs[name][0], paths))
                raise UserError(f"two songs are named `{name}`: `{one}` and `{two}`; rename one of the folders")
            songs[name] = paths, number
    if not songs:
        raise UserError(_nothing(roots, sources, subset, layouts))
    ordered = sorted(songs.items())
    ragged = {name for name, (_, number) in ordered if layouts[number] != FOLDERS}
    tracks = check_tracks({name: paths for name, (paths, _) in ordered}, ragged)
    return [replace(track, root=songs[track.name][1]) for track in tracks]


def held_out_tracks(tracks: Sequence[Track], held_out: Collection[str]) -> tuple[list[Track], list[Track]]:
    """The songs that are held out, and the others.

    Raises:
        UserError: ``held_out`` names a song that is not here.
    """
    apart = songs_named({track.name for track in tracks}, held_out, "held_out")
    return [track for track in tracks if track.name in apart], [track for track in tracks if track.name not in apart]


def split_tracks(
    tracks: Sequence[Track], split: str, valid: Valid = None, held_out: Collection[str] = ()
) -> list[Track]:
    """The tracks of one split, ``train``, ``valid`` or ``held-out``; what ``valid`` means: :func:`validation_names`.

    Raises:
        UserError: there is no such split, or ``valid`` or ``held_out`` name a song that is not here.
    """
    if split not in SPLITS:
        raise UserError(f"split `{split}` is none of {', '.join(SPLITS)}")
    apart, rest = held_out_tracks(tracks, held_out)
    if split == "held-out":
        return apart
    chosen = validation_names({track.name for track in rest}, valid)
    return [track for track in rest if (track.name in chosen) == (split == "valid")]


def validation_tracks(tracks: Sequence[Track], targets: Sequence[str], valid: Valid = None) -> list[Track]:
    """The songs to validate ``targets`` on: only such as have one of them, since others say nothing about them.

    Raises:
        UserError: ``valid`` names a song that is not here, or none that has a target.
    """
    having = [track for track in tracks if track.paths.keys() & set(targets)]
    if valid is None or isinstance(valid, float | int):
        return split_tracks(having, "valid", valid)
    named = split_tracks(tracks, "valid", valid)
    chosen = [track for track in named if track.paths.keys() & set(targets)]
    if named and not chosen:
        raise UserError(f"no song of `valid` (={valid}) has a file of {', '.join(targets)}")
    return chosen


def _nothing(roots: Sequence[Path], sources: Sequence[str], subset: str | None, layouts: Sequence[str]) -> str:
    where = ", ".join(f"`{root}`" for root in roots) + (f" (subset `{subset}`)" if subset else "")
    if set(layouts) == {FOLDERS}:
        return f"no songs in {where}: looked for folders that hold {', '.join(f'{s}.wav' for s in sources)} (or .flac)"
    return f"no songs in {where}: looked for {', '.join(sources)} in the layout {', '.join(layouts)}"
