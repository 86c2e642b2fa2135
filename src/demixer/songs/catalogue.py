"""Any number of songs: each is done or says why not, and none takes the others with it."""

from collections.abc import Sequence
from pathlib import Path

from demixer.separation.processes import Process
from demixer.separation.waveforms import WaveformSeparator
from demixer.songs.bars import bars
from demixer.songs.claims import sweep
from demixer.songs.console import Console
from demixer.songs.finding import Song, find_songs, largest_first
from demixer.songs.options import Options
from demixer.songs.recipe import Recipe
from demixer.songs.worker import Worker
from demixer.temporary import check_writable


def separate_catalogue(
    inputs: Sequence[Path],
    output_dir: Path,
    separator: WaveformSeparator,
    options: Options,
    process: Process | None = None,
    dry_run: bool = False,
    recipe: Recipe | None = None,
    console: Console | None = None,
) -> int:
    """Separate the songs in files and folders, or as many of them as other processes leave to this one.

    Args:
        inputs: files and folders.
        output_dir: where the stems go.
        separator: does it.
        options: which stems, and how they are written.
        process: this process's place among several; None: the only one.
        dry_run: only tell what would be done.
        recipe: what the stems are made with, as the manifest tells it; None: the separator and the options.
        console: where the user is told; None: the terminal.

    Returns:
        The exit code: 1 where some songs failed, else 3 where some are damaged, else 0.

    Raises:
        UserError: nothing can be begun.
    """
    process, console = process or Process(), console or Console()
    recipe = recipe or Recipe.of(separator, options)
    worker = Worker(separator.only(options.estimated(separator.targets)), options, recipe, console)
    stems, suffix = options.written(separator.targets), options.audio_format.suffix

    def listing() -> list[str]:
        songs, refused = find_songs(inputs, output_dir, stems, suffix, options.name, recipe.model)
        for path, reason in refused.items():
            console.failed(path, reason)
        if not dry_run:
            check_writable(output_dir)
            sweep({song.folder for song in songs})
        return [song.to_json() for song in (songs if process.count == 1 else sorted(songs, key=largest_first))]

    deal = process.deal(listing)
    songs = [Song.from_json(item) for item in deal.items]
    with bars([-largest_first(song)[0] for song in songs], hidden=console.quiet or process.rank > 0) as shown:
        for number in deal.numbers:
            if dry_run:
                console.planned(songs[number], worker.standing(songs[number]))
            else:
                with shown.song(number, songs[number].path) as begin:
                    worker.do(songs[number], begin)
    if not dry_run:
        console.summary()
    return console.exit_code()
