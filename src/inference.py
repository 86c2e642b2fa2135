"""Separate songs into their stems: ``python inference.py -i SONG_OR_FOLDER -o OUT_DIR``.

Writes OUT_DIR/{name}_{target}.wav for each song and target, and leaves alone what is there already. Exit code: 0 all is
well, 1 some songs failed (a line on stderr each), 2 nothing could be begun, 130 Ctrl-C, 143 SIGTERM.
"""

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from separator import Separator
from songs.catalogue import separate_catalogue
from songs.options import CLIPS, Options
from songs.processes import Process
from utils.audio import FORMATS
from utils.errors import UserError, end_on_signals, run
from utils.memory import keep_freed_memory

DEFAULT_MODEL = "musdb18-7s"


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:
        raise UserError(f"{message} (see --help; a name that begins with a dash is written ./-name)")


def file_name(text: str) -> Path:
    """What an argument names; an empty one, as an unset shell variable gives, is not the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(text)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("-i", "--in-path", type=file_name, nargs="+", required=True, help="songs, and folders searched to all depths")
    add("-o", "--out-path", type=file_name, required=True, help="folder for the stems")
    add("-t", "--target", nargs="+", help="which stems to write; default: all that the model has")
    add("-c", "--ckpt-path", default=DEFAULT_MODEL, help="a model's name or folder, or a file; default: %(default)s")
    add("-d", "--device", default="auto", help="auto (the best present, default), cpu, cuda, cuda:N or mps")
    add("--precision", default="auto", help="auto (bf16 where it is native; default), fp32 or bf16")
    add("--two-stems", metavar="TARGET", help="write TARGET and no_TARGET, everything else")
    add("--format", choices=FORMATS, default="wav32f", help="default: %(default)s, which neither clips nor rounds")
    add("--keep-rate", action="store_true", help="write at the song's sample rate instead of the model's, 44.1 kHz")
    add("--clip", choices=CLIPS, default="rescale", help="stems that exceed the format's range; default: %(default)s")
    add("--shifts", type=int, help="average over this many shifted copies: better, and as many times slower")
    add("--overwrite", action="store_true", help="separate again what is there already")
    add("--dry-run", action="store_true", help="list the files that would be written, and stop")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    keep_freed_memory()
    args = parse(arguments)
    options = Options(args.target, args.two_stems, args.format, args.keep_rate, args.clip, args.overwrite)
    process = Process.from_environment()
    with process.leaving_together():
        separator = Separator.from_pretrained(args.ckpt_path, process.device(args.device), args.precision)
        if args.shifts is not None:
            separator.audio_params = replace(separator.audio_params, shifts=args.shifts)
        return separate_catalogue(args.in_path, args.out_path, separator, options, process, args.dry_run)


if __name__ == "__main__":
    end_on_signals()
    logging.lastResort.setFormatter(logging.Formatter("note: %(message)s"))
    sys.stdout.reconfigure(errors="backslashreplace")
    run(main)
