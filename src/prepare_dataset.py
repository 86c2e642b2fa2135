"""List the segments of the songs in which a target sounds: ``python prepare_dataset.py -i MUSDB_DIR -o files/``.

With ``--check MODEL``, list the stems instead that a trained model finds silent, swapped or bleeding, in ``check.csv``
beside the indices. Nothing is deleted or moved.
"""

import os
from pathlib import Path

from demixer.commands.parsing import Parser
from demixer.data.index import PARTS
from demixer.data.prepare import prepare
from demixer.datasets.layouts import LAYOUTS
from demixer.datasets.subsets import SUBSETS
from demixer.errors import UserError, run
from demixer.evaluation.stem_check import check_dataset
from demixer.paths import FILES_DIR
from demixer.separation.memory import keep_freed_memory


def main() -> None:
    """Parse the command line."""
    parser = Parser(__doc__)
    add = parser.add_argument
    help_input = "folder(s) of songs: MUSDB18-HQ, MUSDB18 (.stem.mp4) or one's own; default: $MUSDB_DIR"
    add("-i", "--input_dir", "--input-dir", type=Path, nargs="+", help=help_input)
    add("-o", "--output_dir", "--output-dir", type=Path, default=FILES_DIR, help="where the indices go")
    add("-t", "--target", nargs="+", help="source(s) to index; default: vocals, drums, bass, other")
    add("--subset", choices=SUBSETS, default="train")
    add("--split", choices=PARTS, help="which part of the subset train; default: both")
    add("--sad_cfg", "--sad-cfg", default="default", help="a name in conf/sad or a file")
    add("--wav_dir", "--wav-dir", type=Path, help="where .stem.mp4 songs are decoded to; default: in OUTPUT_DIR")
    add("--layout", nargs="+", default=["folders"], choices=LAYOUTS, help="of all input folders, or of each in turn")
    add("--check", type=Path, metavar="MODEL", help="list bad stems: a model's name, or a run's or a model's folder")
    parser.add_device("--device")
    args = parser.parse_args()
    if args.input_dir is None and not os.environ.get("MUSDB_DIR"):
        raise UserError("no dataset: give -i INPUT_DIR or set MUSDB_DIR")
    if args.split and args.subset != "train":
        raise UserError(f"--split {args.split} divides the subset train, not {args.subset}: leave one of them out")
    input_dirs = args.input_dir or [Path(os.environ["MUSDB_DIR"])]
    what = (input_dirs, args.output_dir, args.target, args.subset, args.split, args.sad_cfg, args.wav_dir, args.layout)
    if args.check is None:
        prepare(*what)
    else:
        keep_freed_memory()
        check_dataset(args.check, *what, args.device)


if __name__ == "__main__":
    run(main)
