"""Any number of songs: each is done or says why not, and none takes the others with it."""

import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.progress import Progress

from demixer.errors import UserError, one_line, shown
from demixer.progress import progress_bar
from demixer.separation.processes import Process
from demixer.separation.waveforms import WaveformSeparator
from demixer.songs.finding import Refusals, Song, find_songs
from demixer.songs.options import Options
from demixer.songs.separating import Advance, separate_song
from demixer.temporary import check_writable

DESCRIPTION_CHARACTERS = 40


@dataclass
class Tally:
    """What became of the songs."""

    done: int = 0
    complete: int = 0
    failed: int = 0

    def __str__(self) -> str:
        parts = [f"{self.done} separated"]
        if self.complete:
            parts.append(f"{self.complete} were complete (--overwrite separates them again)")
        if self.failed:
            parts.append(f"{self.failed} failed")
        return ", ".join(parts)


def separate_catalogue(
    inputs: Sequence[Path],
    output_dir: Path,
    separator: WaveformSeparator,
    options: Options,
    process: Process | None = None,
    dry_run: bool = False,
) -> int:
    """Separate this process's share of the songs in files and folders.

    Args:
        inputs: files and folders.
        output_dir: where the stems go.
        separator: does it.
        options: which stems, and how they are written.
        process: this process's place among several; None: the only one.
        dry_run: only list what would be written.

    Returns:
        The exit code: 1 where some songs failed, otherwise 0.

    Raises:
        UserError: nothing can be begun.
    """
    process = process or Process()
    stems = options.written(separator.targets)
    songs, refused = find_songs(inputs, output_dir, stems, options.audio_format.suffix)
    songs = process.share(songs, largest_first)
    if dry_run:
        return _list(songs, refused, options)
    check_writable(output_dir)
    wanted = separator.only(options.estimated(separator.targets))
    tally = separate_songs(songs, refused if process.rank == 0 else {}, wanted, options)
    print(tally)
    return int(tally.failed > 0)


def _list(songs: Sequence[Song], refused: Refusals, options: Options) -> int:
    """Print what would be written; return the exit code."""
    tally = Tally()
    for path, reason in refused.items():
        _fail(tally, path, reason)
    for song in songs:
        if options.overwrite or not song.is_complete():
            print("\n".join(shown(path) for path in song.outputs.values()))
    return int(tally.failed > 0)


def separate_songs(songs: Sequence[Song], refused: Refusals, separator: WaveformSeparator, options: Options) -> Tally:
    """Separate songs one after the other; a failure is one line on stderr, and the next song's turn."""
    tally = Tally()
    for path, reason in refused.items():
        _fail(tally, path, reason)
    with progress_bar("s") as bar:
        for number, song in enumerate(songs, 1):
            if song.is_complete() and not options.overwrite:
                tally.complete += 1
            else:
                _separate(song, separator, options, bar, f"{number}/{len(songs)}", tally)
    return tally


def _separate(
    song: Song, separator: WaveformSeparator, options: Options, bar: Progress, number: str, tally: Tally
) -> None:
    task = bar.add_task(f"{number} {escape(shown(song.path.name)[:DESCRIPTION_CHARACTERS])}", total=None)

    def begin(seconds: float | None) -> Advance:
        bar.update(task, total=seconds)
        return lambda done: bar.advance(task, done)

    try:
        remarks = separate_song(song, separator, options, begin)
    except UserError as error:
        _fail(tally, song.path, one_line(error))
    except OSError as error:
        _fail(tally, song.path, f"its stems cannot be written: {error.strerror or one_line(error)}")
    except Exception:  # a fault of this program shows itself in full, but not at the cost of the other songs
        traceback.print_exc()
        _fail(tally, song.path, "a fault of this program, told above")
    else:
        tally.done += 1
        print(f"{shown(song.path)} → {', '.join(shown(path) for path in song.outputs.values())}", flush=True)
        for remark in remarks:
            print(f"note: `{shown(song.path)}`: {remark}", file=sys.stderr)
    finally:
        bar.remove_task(task)


def _fail(tally: Tally, path: Path, reason: str) -> None:
    tally.failed += 1
    print(f"error: `{shown(path)}`: {reason}", file=sys.stderr)


def largest_first(song: Song) -> tuple[int, Path]:
    """The order in which songs are dealt out to processes."""
    try:
        return -song.path.stat().st_size, song.path
    except OSError:  # it has vanished, which is for the one to tell who gets it
        return 0, song.path
