"""Rewrite any known checkpoint as this project's own format: ``python convert_checkpoint.py IN OUT``.

OUT gets ``weights.safetensors`` and ``hparams.yaml``, one folder per network where IN has several. After that no
pickle is touched, and the stems are the same.
"""

import argparse
from pathlib import Path

import torch

from model.pretrained import read_fitting
from utils.checkpoints import WEIGHTS_NAME, locate_networks, write_hparams, write_weights
from utils.errors import UserError, run


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path, metavar="IN", help="a checkpoint, a folder of them, or a model's name")
    parser.add_argument("output", type=Path, metavar="OUT", help="a new folder")
    parser.add_argument("--half", action="store_true", help="half the size; the stems then differ by about -60 dB")
    return parser.parse_args(arguments)


def convert(path: Path, output: Path, half: bool = False) -> list[Path]:
    """Convert a model and return the folders that were written.

    Raises:
        UserError: there is no such model, it does not fit a known layout, or ``output`` is in use.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise UserError(f"`{output}` exists already: give a new folder")
    found = [read_fitting(folder, file) for folder, file in locate_networks(path)]
    names = ["-".join(saved.hparams["targets"]) for saved in found]
    if len(set(names)) < len(names):
        raise UserError(
            f"`{path}` holds several checkpoints of the same targets ({', '.join(names)}): give one of them"
        )
    folders = [output] if len(found) == 1 else [output / name for name in names]
    for folder, saved in zip(folders, found, strict=True):
        write_weights(folder / WEIGHTS_NAME, saved.weights, torch.float16 if half else torch.float32)
        write_hparams(folder, saved.hparams)
    return folders


def main() -> None:
    arguments = parse()
    for folder in convert(arguments.input, arguments.output, arguments.half):
        print(folder)


if __name__ == "__main__":
    run(main)
