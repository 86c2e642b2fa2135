"""Peak memory over a song's length: ``python benchmarks/memory.py [--minutes 5 30 180] [-c MODEL]``.

Each length runs in a process of its own, through all that ``inference.py`` does: a stereo file at 48 kHz is read,
resampled, separated, cross-faded and written as FLAC. Without a model, a stand-in of the same interface takes the
network's place, with which three hours take minutes.
"""

import argparse
import contextlib
import io
import multiprocessing
import resource
import sys
import tempfile
import time
from pathlib import Path

import soundfile
import torch
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from demixer import AudioParams, Separator
from demixer.separation.memory import keep_freed_memory
from demixer.songs.catalogue import separate_catalogue
from demixer.songs.options import Options
from demixer.sources import SOURCES

SAMPLE_RATE_HZ = 48_000
WAV_HEADER_BYTES = 44


def stand_in(mixture: torch.Tensor) -> torch.Tensor:
    """(B, C, L) → (B, S, C, L): each target is a quarter of the mixture."""
    return mixture.unsqueeze(1).repeat(1, len(SOURCES), 1, 1) / len(SOURCES)


def measure(minutes: float, model: str | None) -> tuple[float, float]:
    """Separate a silent song; give the seconds it took and the peak of this process's memory in MB."""
    keep_freed_memory()  # as inference.py does
    separator = Separator(stand_in, SOURCES, 44_100, AudioParams())
    if model:
        separator = Separator.from_pretrained(model, "cpu")
    with tempfile.TemporaryDirectory() as folder:
        song = write_silence(Path(folder) / "song.wav", round(minutes * 60 * SAMPLE_RATE_HZ))
        begin = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            code = separate_catalogue([song], Path(folder) / "out", separator, Options(format="flac", clip="clamp"))
        seconds = time.perf_counter() - begin
        frames = {soundfile.info(path).frames for path in Path(folder, "out").glob("*.flac")}
    if code or frames != {round(minutes * 60 * 44_100)}:
        raise RuntimeError(f"the stems of {minutes} minutes have {frames} samples")
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def write_silence(path: Path, frames: int) -> Path:
    """A stereo 16-bit WAV file with a true header, whose samples take no room on the disk."""
    with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 2, "PCM_16") as file:
        file.write([[0.0, 0.0]])
    data_bytes = frames * 4
    with path.open("r+b") as file:
        file.seek(4)
        file.write((WAV_HEADER_BYTES - 8 + data_bytes).to_bytes(4, "little"))
        file.seek(WAV_HEADER_BYTES - 4)
        file.write(data_bytes.to_bytes(4, "little"))
        file.truncate(WAV_HEADER_BYTES + data_bytes)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 5, 30, 180])
    parser.add_argument("-c", "--ckpt-path", help="a model; default: the stand-in")
    args = parser.parse_args()
    table = Table("song", "compute", "peak memory", title=args.ckpt_path or "stand-in network")
    for column in table.columns:
        column.justify = "right"
    for minutes in args.minutes:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, megabytes = pool.apply(measure, (minutes, args.ckpt_path))
        table.add_row(f"{minutes:g} min", f"{seconds:.0f} s", f"{megabytes:.0f} MB")
    Console().print(table)


if __name__ == "__main__":
    main()
