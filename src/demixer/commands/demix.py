"""Separate songs into their stems: ``demix SONG_OR_FOLDER``, or ``python inference.py -i SONG_OR_FOLDER -o OUT_DIR``.

Writes OUT_DIR/{name}_{target}.wav for each song and target, and leaves alone what is there already. Exit code: 0 all is
well, 1 some songs failed (a line on stderr each), 2 nothing could be begun, 130 Ctrl-C, 143 SIGTERM.
"""

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from demixer.commands.parsing import Parser, file_name
from demixer.errors import end_on_signals, run

DEFAULT_MODEL = "musdb18-7s"


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(__doc__, dashes=True)
    add = parser.add_argument
    add("songs", type=file_name, nargs="*", metavar="SONG", help="songs, and folders searched to all depths")
    add("-i", "--in-path", type=file_name, nargs="+", metavar="SONG", default=[], help="the same")
    add("-o", "--out-path", type=file_name, default=Path("stems"), help="folder for the stems; default: %(default)s/")
    add("-t", "--target", nargs="+", help="which stems to write; default: all that the model has")
    add("-c", "--ckpt-path", default=DEFAULT_MODEL, help="a model's name or folder, or a file; default: %(default)s")
    parser.add_device("-d", "--device")
    add("--precision", default="auto", help="auto (bf16 or fp16, where it is native; default), fp32, bf16 or fp16")
    add("--two-stems", metavar="TARGET", help="write TARGET and no_TARGET, everything else")
    add("--format", default="wav32f", metavar="F", help="wav32f (default: neither clips nor rounds), wav16, wav24, "
        "flac, mp3, ogg, m4a (AAC), opus (at 48 kHz, its only rate), stem.m4a (one file for DJ programs)")  # fmt: skip
    add("--bitrate", type=int, metavar="KBPS", help="kbit/s of mp3, ogg, m4a, opus, stem.m4a; default: good for music")
    add("--keep-rate", action="store_true", help="write at the song's sample rate instead of the model's, 44.1 kHz")
    add("--clip", default="rescale", help="stems beyond the format's range: rescale (default), clamp or error")
    add("--shifts", type=int, help="average over this many shifted copies: better, and as many times slower")
    add("--overwrite", action="store_true", help="separate again what is there already")
    add("--dry-run", action="store_true", help="list the files that would be written, and stop")
    add("--list-models", action="store_true", help="list the models that are here and those to download, and stop")
    args = parser.parse_intermixed_args(arguments)
    args.songs += args.in_path
    if not args.songs and not args.list_models:
        parser.error("name a song or a folder: SONG, or -i SONG")
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse(arguments)
    if args.list_models:
        from demixer.checkpoints.registry import print_models

        print_models()
        return 0
    from demixer.separation.memory import keep_freed_memory
    from demixer.separation.processes import Process
    from demixer.separation.separator import Separator
    from demixer.songs.catalogue import separate_catalogue
    from demixer.songs.options import Options

    keep_freed_memory()
    options = Options(args.target, args.two_stems, args.format, args.keep_rate, args.clip, args.overwrite, args.bitrate)
    process = Process.from_environment()
    with process.leaving_together():
        separator = Separator.from_pretrained(args.ckpt_path, process.device(args.device), args.precision)
        if args.shifts is not None:
            separator.audio_params = replace(separator.audio_params, shifts=args.shifts)
        return separate_catalogue(args.songs, args.out_path, separator, options, process, args.dry_run)


def command() -> None:
    """The program ``demix``."""
    end_on_signals()
    logging.lastResort.setFormatter(logging.Formatter("note: %(message)s"))
    sys.stdout.reconfigure(errors="backslashreplace")
    run(main)
