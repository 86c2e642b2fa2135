"""What is done with one song of many: nothing, where its stems are there; else it is separated, and recorded."""

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from demixer import __version__
from demixer.errors import UserError, one_line, shown
from demixer.separation.waveforms import WaveformSeparator
from demixer.songs.claims import claim_of, held, remove_parts
from demixer.songs.console import Console
from demixer.songs.finding import Song
from demixer.songs.manifest import Entry, FileState, Manifests, now
from demixer.songs.options import Options
from demixer.songs.recipe import Recipe
from demixer.songs.separating import Advance, Separated, put_in_place, separate_song
from demixer.songs.standing import Standing, standing_of, state_of


class Worker:
    """Separates songs one after the other, and keeps the manifests of their stems.

    Args:
        separator: does it.
        options: which stems, and how they are written.
        recipe: what they are made with.
        console: where the user is told.
    """

    def __init__(self, separator: WaveformSeparator, options: Options, recipe: Recipe, console: Console) -> None:
        self.separator, self.options, self.recipe, self.console = separator, options, recipe, console
        self.manifests, self.began = Manifests(), now()

    def standing(self, song: Song) -> Standing:
        """What there is of a song."""
        return standing_of(song, self.recipe, self.manifests, self.began if self.options.overwrite else None)

    def do(self, song: Song, begin: Callable[[float | None], Advance]) -> None:
        """Separate a song, if that is to be done and no other process does it; a failure is told, not raised."""
        began = time.monotonic()
        try:
            tell = self._done(song, begin, began)
        except UserError as error:
            self._fail(song, one_line(error), began)
        except OSError as error:
            self._fail(song, f"its stems cannot be written: {error.strerror or one_line(error)}", began)
        except Exception:  # a fault of this program shows itself in full, but not at the cost of the other songs
            traceback.print_exc()
            self._fail(song, "a fault of this program, told above", began)
        else:
            tell()  # where nobody can be told, that is no failure of the song

    def _done(self, song: Song, begin: Callable[[float | None], Advance], began: float) -> Callable[[], None]:
        """Do what is to be done about a song; gives what tells of it."""
        if (standing := self.standing(song)).reason is None:
            return self._left(song, standing)
        with held(claim_of(song.folder, song.key)) as mine:
            if not mine:
                return partial(self.console.claimed, song)
            if (standing := self.standing(song)).reason is None:  # another process has done it meanwhile
                return self._left(song, standing)
            remove_parts(song.folder, song.key)
            entry = self._separate(song, begin, began)
            return partial(self.console.separated, song, entry, standing.reason)

    def _left(self, song: Song, standing: Standing) -> Callable[[], None]:
        if self.options.strict and standing.damage:
            raise UserError(f"it is damaged ({standing.damage}), which `--strict` takes for a failure")
        return partial(self.console.untouched, song, standing)

    def _separate(self, song: Song, begin: Callable[[float | None], Advance], began: float) -> Entry:
        source, entries = state_of(song.path), []

        def place(files: Mapping[Path, Path], separated: Separated) -> None:
            kept = self.standing(song).kept  # looked up again: a file may have appeared meanwhile
            files = {hidden: output for hidden, output in files.items() if output not in kept}
            entry = replace(self._entry(song, "done", began), source=source, seconds=separated.seconds)
            if separated.damage:
                entry = replace(entry, state="damaged", damage=separated.damage)
            entry = replace(entry, notes=separated.notes, stems=_stems(song, files))
            self._record(song, entry)  # before the stems have their names: they are never there without it
            put_in_place(files, separated)
            entries.append(entry)
            self.console.kept(song.path, kept)

        separate_song(song, self.separator, self.options, begin, place=place)
        return entries[0]

    def _entry(self, song: Song, state: str, began: float) -> Entry:
        model = {"name": self.recipe.model, "sha256": self.recipe.checksum}
        took_seconds = round(time.monotonic() - began, 3)
        settings = dict(self.recipe.settings)
        return Entry(str(song.path), state, now(), took_seconds, model=model, settings=settings, version=__version__)

    def _record(self, song: Song, entry: Entry) -> None:
        """Add an entry to the manifest of each folder that has stems of the song."""
        for folder in {output.parent for output in song.outputs.values()}:
            stems = {stem: told for stem, told in entry.stems.items() if song.outputs[stem].parent == folder}
            if stems or not entry.stems:
                self.manifests.of(folder).append(replace(entry, stems=stems))

    def _fail(self, song: Song, reason: str, began: float) -> None:
        entry = replace(self._entry(song, "failed", began), source=state_of(song.path), error=reason)
        self.console.failed(song.path, reason, entry)
        try:
            self._record(song, entry)
        except OSError as error:
            print(f"note: `{shown(song.folder)}`: nothing can be recorded there: {one_line(error)}", file=sys.stderr)


def _stems(song: Song, files: Mapping[Path, Path]) -> dict[str, dict[str, object]]:
    """What the manifest tells of each stem that is written, from its hidden file."""
    names = {output: stem for stem, output in song.outputs.items()}
    return {
        names[output]: {"file": output.name, **vars(FileState.of(hidden, summed=True))}
        for hidden, output in files.items()
    }
