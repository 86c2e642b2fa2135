"""What the user is told about the songs: a line each, or a JSON object; notes, errors, and a summary."""

import json
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from demixer.errors import shown
from demixer.songs.finding import Song
from demixer.songs.manifest import Entry, now
from demixer.songs.standing import Standing

FAILED, DAMAGED = 1, 3  # exit codes
SUMMARY = {
    "complete": "{} were complete (--overwrite separates them again)",
    "kept": "{} kept (--overwrite replaces them)",
    "claimed": "{} left to the process that separates them now",
    "damaged": "{} damaged",
    "failed": "{} failed",
}


@dataclass
class Console:
    """Where lines go: results to stdout; errors and notes to stderr.

    Args:
        quiet: print no results, only errors and notes.
        as_json: print each result as a JSON object of one line, with the fields of the manifest.
        tally: how many songs had which end.
    """

    quiet: bool = False
    as_json: bool = False
    tally: Counter[str] = field(default_factory=Counter)

    def separated(self, song: Song, entry: Entry, reason: str) -> None:
        """Tell that a song is done, and what is to be known about it."""
        self.tally["separated"] += 1
        outputs = [path for stem, path in song.outputs.items() if stem in entry.stems]
        why = "" if reason == "new" else f" ({reason})"
        self._result(song, entry, f"{shown(song.path)} → {_listed(outputs)}{shown(why)}")
        if entry.damage:
            self.tally["damaged"] += 1
        for note in entry.notes:
            self.note(song.path, note)

    def untouched(self, song: Song, standing: Standing) -> None:
        """Tell that nothing was done about a song, since its stems are there."""
        state = "kept" if standing.kept else "complete"
        self.tally[state] += 1
        self._result(song, _entry(song, state, standing))
        if standing.damage:
            self.tally["damaged"] += 1
            self.note(song.path, f"it is damaged ({standing.damage}): its stems end there")
        self.kept(song.path, standing.kept)

    def claimed(self, song: Song) -> None:
        """Tell that another process separates a song."""
        self.tally["claimed"] += 1
        self._result(song, _entry(song, "claimed"))

    def planned(self, song: Song, standing: Standing) -> None:
        """Tell what would be done about a song."""
        if standing.reason is None:
            state = "kept" if standing.kept else "complete"
        else:
            state = "new" if standing.reason == "new" else f"again ({standing.reason})"
        line = f"{shown(state)}: {shown(song.path)}"
        if standing.reason is not None:
            line += f" → {_listed([path for path in song.outputs.values() if path not in standing.kept])}"
        self._result(song, _entry(song, state, standing), line)
        self.kept(song.path, standing.kept)

    def failed(self, path: Path, reason: str, entry: Entry | None = None) -> None:
        """Tell that a song, or a folder of songs, failed."""
        self.tally["failed"] += 1
        print(f"error: `{shown(path)}`: {shown(reason)}", file=sys.stderr, flush=True)
        song = Song(path, {})
        self._result(song, entry or replace(_entry(song, "failed"), error=reason))

    def kept(self, path: Path, files: Mapping[Path, str]) -> None:
        """Tell which files were left as they are, though a stem has their name."""
        for file, reason in files.items():
            self.note(path, f"`{file}` is kept: {reason} (--overwrite replaces it)")

    def note(self, path: Path, text: str) -> None:
        """Tell something about a song."""
        print(f"note: `{shown(path)}`: {shown(text)}", file=sys.stderr, flush=True)

    def summary(self) -> None:
        """Tell how many songs had which end."""
        if not (self.quiet or self.as_json):
            ends = [text.format(self.tally[state]) for state, text in SUMMARY.items() if self.tally[state]]
            print(", ".join([f"{self.tally['separated']} separated", *ends]), flush=True)

    def exit_code(self) -> int:
        """1 where songs failed; else 3 where some are damaged; else 0."""
        return FAILED if self.tally["failed"] else DAMAGED if self.tally["damaged"] else 0

    def _result(self, song: Song, entry: Entry, line: str = "") -> None:
        if self.as_json:
            content = entry.to_json()
            files = {stem: {**state, "file": str(song.outputs[stem])} for stem, state in content["stems"].items()}
            line = json.dumps(content | {"stems": files})
        if line and not (self.quiet and not self.as_json):
            print(line, flush=True)


def _entry(song: Song, state: str, standing: Standing | None = None) -> Entry:
    """What is told about a song that was not separated: what is known of it from before."""
    if standing is not None and standing.entry is not None:
        stems = {stem: told for stem, told in standing.entry.stems.items() if stem in song.outputs}
        return replace(standing.entry, song=str(song.path), state=state, stems=stems)
    return Entry(str(song.path), state, now(), 0.0)


def _listed(paths: list[Path]) -> str:
    return ", ".join(shown(path) for path in paths)
