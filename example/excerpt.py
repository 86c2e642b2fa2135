"""Separate the real excerpt with true stems that the package stempeg ships, and measure the result.

``make example`` calls this. The excerpt (The Easton Ellises, "Falcon 69", from MUSDB18) may not be redistributed, so
its mixture is written to a folder that git ignores.
"""

import sys
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

PROJECT_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT_DIR / "src"))

from demixer.audio import read_audio, write_audio  # noqa: E402
from demixer.commands import demix  # noqa: E402
from demixer.datasets.stem_files import read_stem_file  # noqa: E402
from demixer.errors import UserError, run  # noqa: E402
from demixer.evaluation.metrics import usdr  # noqa: E402
from demixer.sources import SOURCES  # noqa: E402

EXCERPT_DIR = PROJECT_DIR / "example" / "excerpt"


def main() -> int:
    true, sample_rate_hz = read_stem_file(excerpt_file())
    song = EXCERPT_DIR / "falcon69.wav"
    write_audio(song, true["mixture"], sample_rate_hz)
    code = demix.main(["-i", str(song), "-o", str(EXCERPT_DIR), "--overwrite"])
    if code:
        return code
    table = Table(
        "stem", "file", "uSDR of the estimate", "uSDR of the plain mixture", title="The Easton Ellises, excerpt"
    )
    for target in SOURCES:
        file = EXCERPT_DIR / f"{song.stem}_{target}.wav"
        estimate, _ = read_audio(file)
        scores = (usdr(true[target], signal) for signal in (estimate, true["mixture"]))
        table.add_row(target, str(file.relative_to(PROJECT_DIR)), *(f"{score:+.2f} dB" for score in scores))
    Console(width=110).print(table)
    return 0


def excerpt_file() -> Path:
    """The ``.stem.mp4`` in the package stempeg, which is not imported: that raises where no ffmpeg program is.

    Raises:
        UserError: the package is not installed.
    """
    package = find_spec("stempeg")
    if package is None or not package.submodule_search_locations:
        raise UserError("the excerpt is part of the package stempeg: pip install stempeg")
    return Path(package.submodule_search_locations[0]) / "data" / "The Easton Ellises - Falcon 69.stem.mp4"


if __name__ == "__main__":
    run(main)
