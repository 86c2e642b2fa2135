"""Fetch a public model by name: ``python download_model.py bsrnn-opt``, or without a name to see what there is.

It goes on where it broke off, is put in place only if size and checksum match, and lies in saved_models/downloads/;
then ``python inference.py -i song.mp3 -c bsrnn-opt``.
"""

import argparse
import shutil
from pathlib import Path

from rich.console import Console

from utils.archive import unpack
from utils.checkpoints import DOWNLOADS_DIR, locate_networks
from utils.download import fetch
from utils.errors import UserError, run
from utils.registry import REGISTRY, read_registry, registry_table


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", metavar="NAME", help="of the model; without one they are listed")
    parser.add_argument("-o", "--output", type=Path, default=DOWNLOADS_DIR, help="default: saved_models/downloads/")
    parser.add_argument("--registry", type=Path, default=REGISTRY, help="default: saved_models/registry.yaml")
    return parser.parse_args(arguments)


def download(name: str, output: Path = DOWNLOADS_DIR, registry: Path = REGISTRY, pause_seconds: float = 2.0) -> Path:
    """Fetch, verify and unpack a model, unless it is there already; returns its folder.

    Raises:
        UserError: the name is unknown, the disk too small, or the download is not what was registered.
    """
    entries, folder = read_registry(registry), output / name
    if name not in entries:
        raise UserError(f"no model {name!r} to download: known are {', '.join(entries)}")
    if folder.exists():
        return folder
    entry, archive = entries[name], output / f"{name}.zip"
    output.mkdir(parents=True, exist_ok=True)
    free, needed = shutil.disk_usage(output).free, round(2.2 * entry.bytes)
    if free < needed:
        raise UserError(f"`{output}` has {free / 1e9:.1f} GB free, and {name} takes {needed / 1e9:.1f} GB to unpack")
    if not archive.exists():
        fetch(entry.url, archive, entry.bytes, entry.md5, pause_seconds)
    unpack(archive, folder)
    archive.unlink()
    locate_networks(folder)
    return folder


def main() -> None:
    arguments = parse()
    if arguments.name is None:
        Console().print(registry_table(read_registry(arguments.registry)))
        return
    folder = download(arguments.name, arguments.output, arguments.registry)
    print(f"{folder}\nnow: python inference.py -i song.mp3 -c {arguments.name}")


if __name__ == "__main__":
    run(main)
