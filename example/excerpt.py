"""Separate the real excerpt with true stems that the package stempeg ships, and measure the result.

``make example`` calls this. The excerpt (The Easton Ellises, "Falcon 69", from MUSDB18) may not be redistributed, so
its mixture is written to a folder that git ignores.
"""

import sys
from pathlib import Path

import stempeg
import torch
from rich.console import Console
from rich.table import Table

PROJECT_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT_DIR / "src"))

from demixer.audio import read_audio, write_audio  # noqa: E402
from demixer.commands import demix  # noqa: E402
from demixer.errors import run  # noqa: E402
from demixer.evaluation.metrics import usdr  # noqa: E402

EXCERPT_DIR = PROJECT_DIR / "example" / "excerpt"
STEMS = ("mixture", "drums", "bass", "other", "vocals")  # the order of the streams in a .stem.mp4 file


def main() -> int:
    streams, sample_rate_hz = stempeg.read_stems(stempeg.example_stem_path(), dtype="float32")
    true = {name: torch.from_numpy(stream.T.copy()).float() for name, stream in zip(STEMS, streams, strict=True)}
    song = EXCERPT_DIR / "falcon69.wav"
    write_audio(song, true["mixture"], round(sample_rate_hz))
    code = demix.main(["-i", str(song), "-o", str(EXCERPT_DIR), "--overwrite"])
    if code:
        return code
    table = Table(
        "stem", "file", "uSDR of the estimate", "uSDR of the plain mixture", title="The Easton Ellises, excerpt"
    )
    for target in ("vocals", "drums", "bass", "other"):
        file = EXCERPT_DIR / f"{song.stem}_{target}.wav"
        estimate, _ = read_audio(file)
        scores = (usdr(true[target], signal) for signal in (estimate, true["mixture"]))
        table.add_row(target, str(file.relative_to(PROJECT_DIR)), *(f"{score:+.2f} dB" for score in scores))
    Console(width=110).print(table)
    return 0


if __name__ == "__main__":
    run(main)
