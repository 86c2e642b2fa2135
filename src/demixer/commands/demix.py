"""Separate songs into their stems: ``demix SONG_OR_FOLDER``, or ``python inference.py -i SONG_OR_FOLDER -o OUT_DIR``.

Writes OUT_DIR/{name}_{target}.wav for each song and target, and a line about each song into demix-catalogue.jsonl
beside them. By it a later call knows what is to be done: songs that are new, have changed, or were separated otherwise.
Files that this program did not write are left alone.

Exit code: 0 all is well; 1 some songs failed (a line on stderr each); 3 none failed, but some are damaged, and their
stems end early; 2 nothing could be begun; 130 Ctrl-C; 141 nobody reads stdout; 143 SIGTERM.
"""

import argparse
import logging
import sys
from dataclasses import fields
from pathlib import Path

from demixer.commands.parsing import DEVICE_HELP, SEVERAL, Parser, file_name, time_seconds
from demixer.errors import end_on_signals, run
from demixer.paths import DEFAULT_MODEL
from demixer.songs.naming import DEFAULT_NAME


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__, dashes=True)
    add = parser.add_argument
    add("songs", type=file_name, nargs="*", metavar="SONG", help="songs, and folders searched to all depths")
    add("-i", "--in-path", type=file_name, **SEVERAL, metavar="SONG", default=[], help="the same")
    add("-o", "--out-path", type=file_name, default=Path("stems"), help="folder for the stems; default: %(default)s/")
    add("--list-models", action="store_true", help="list the models that are here and those to download, and stop")
    add("--stem", metavar="STEM", help="with --list-models: only the models that separate it, as guitar")
    add = parser.add_argument_group("what is separated").add_argument
    add("-t", "--target", dest="targets", **SEVERAL, help="which stems to write; default: all that the model has")
    add("--two-stems", metavar="TARGET", help="write TARGET and no_TARGET, everything else")
    add("--residual", metavar="TARGET", help="what the others leave goes to it: stems add up to the mixture exactly")
    add("--start", dest="start_seconds", type=time_seconds, default=0.0, metavar="TIME", help="seconds, or m:ss")
    add("--end", dest="end_seconds", type=time_seconds, metavar="TIME", help="only up to there, for a quick try")
    add("--downmix", action="store_true", help="mix 5.1 and the like down to stereo, by ITU-R BS.775 without LFE")
    add = parser.add_argument_group("what separates it").add_argument
    add("-c", "--ckpt-path", action="append", metavar="MODEL", help="best, or another of --list-models; or a path")
    add("--weights", type=float, **SEVERAL, help="-c A -c B: targets are means of the models that have them; by these")
    add("--then", action="append", default=[], metavar="STEM=MODEL", help="take STEM apart into STEM_… and STEM_rest")
    add("-d", "--device", default="auto", help=DEVICE_HELP)
    add("--precision", default="auto", help="auto (bf16 or fp16, where it is native; default), fp32, bf16 or fp16")
    add("--batch-size", type=int, metavar="N", help="windows computed at once; default: the model's, mostly 4")
    add = parser.add_argument_group("how well, and how fast").add_argument
    add("--segment", type=float, metavar="SECONDS", help="length of a window; default: the model's, mostly 3")
    add("--overlap", type=float, metavar="SHARE", help="of a window with the next; default: the model's, mostly 0.5")
    add("--shifts", type=int, metavar="N", help="mean of N shifted copies, N times as slow; not for the shipped model")
    add("--tta", action="store_true", help="mean with the mirrored and the inverted mixture; up to four times as slow")
    add = parser.add_argument_group("how stems are written").add_argument
    add("--format", default="wav32f", metavar="F", help="wav32f (default: neither clips nor rounds), wav16, wav24, "
        "flac, mp3, ogg, m4a (AAC), opus (at 48 kHz, its only rate), stem.m4a (one file for DJ programs)")  # fmt: skip
    add("--bitrate", type=int, metavar="KBPS", help="kbit/s of mp3, ogg, m4a, opus, stem.m4a; default: good for music")
    add("--keep-rate", action="store_true", help="write at the song's sample rate instead of the model's, 44.1 kHz")
    add("--clip", default="rescale", help="stems beyond the format's range: rescale (default), clamp or error")
    add("--no-dither", dest="dither", action="store_false", help="round to 16 bits without noise")
    add = parser.add_argument_group("many songs").add_argument
    add("--name", default=DEFAULT_NAME, help="names, of {track} {stem} {folder} {model} {ext}; default: %(default)s")
    add("--overwrite", action="store_true", help="separate all again, and replace whatever has the stems' names")
    add("--strict", action="store_true", help="a damaged song fails, instead of being separated as far as it goes")
    add("--dry-run", action="store_true", help="tell what would be done, and why, and stop")
    add("--quiet", action="store_true", help="print errors and notes only")
    add("--json", action="store_true", help="print a JSON object for each song, as it is in demix-catalogue.jsonl")
    args = parser.parse_intermixed_args(arguments)
    args.songs += args.in_path
    if not args.songs and not args.list_models:
        parser.error("name a song or a folder: SONG, or -i SONG")
    if args.stem and not args.list_models:
        parser.error("--stem goes with --list-models; -t chooses which stems are written")
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    if args.list_models:
        from demixer.checkpoints.listing import print_models

        print_models(stem=args.stem)
        return 0
    from demixer.checkpoints.hint import tell_of_best
    from demixer.separation.combining import Combination
    from demixer.separation.cutting import Cutting
    from demixer.separation.memory import keep_freed_memory
    from demixer.separation.processes import Process
    from demixer.songs.catalogue import separate_catalogue
    from demixer.songs.console import Console
    from demixer.songs.options import Options
    from demixer.songs.recipe import Recipe

    keep_freed_memory()
    options = Options(**{field.name: getattr(args, field.name) for field in fields(Options)})
    cutting = Cutting(args.segment, args.overlap, args.batch_size, args.shifts)
    models = Combination(args.ckpt_path or [DEFAULT_MODEL], args.weights, args.then, args.tta, cutting)
    process = Process.from_environment()
    if process.rank == 0 and not (args.ckpt_path or args.quiet or args.json):
        tell_of_best()
    with process.leaving_together():
        separator = models.load(process.device(args.device), args.precision)
        recipe = Recipe.of(separator, options, models, args.precision)
        console = Console(args.quiet, args.json)
        return separate_catalogue(args.songs, args.out_path, separator, options, process, args.dry_run, recipe, console)


def command() -> None:
    """The program ``demix``."""
    end_on_signals()
    logging.lastResort.setFormatter(logging.Formatter("note: %(message)s"))
    sys.stdout.reconfigure(errors="backslashreplace")
    run(main)
