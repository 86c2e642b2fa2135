"""What changing the sample rate costs, in sound and in time: ``python benchmarks/resamplers.py``.

Tones are resampled from 48 to 44.1 kHz: how much of each is left, and how loud the tones above the new band come back
as others. The time is what the processor computes for a second of stereo noise, whatever else runs on it.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from soxr import ResampleStream
from torch import Tensor
from torchaudio.functional import resample as torchaudio_resample

PROJECT_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT_DIR / "src"))

from demixer.audio import resample_blocks
from demixer.errors import run

Resampler = Callable[[Tensor, int, int], Tensor]  # (C, L) in float32, from Hz, to Hz

FROM_HZ, TO_HZ, ODD_HZ = 48_000, 44_100, 44_101
TONES_HZ = (10_000, 18_000, 19_000, 20_000)
BEYOND_HZ = range(22_250, 24_000, 250)
EDGE = 2_000  # samples at either end, where tones that begin at once ring
BLOCK_SAMPLES = 1 << 18
LARGEST_KERNEL_BYTES = 1 << 30
KAISER_BEST = {  # torchaudio's name for the filter of a program of old
    "resampling_method": "sinc_interp_kaiser",
    "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596,
    "beta": 14.769656459379492,
}


def ours(signal: Tensor, from_hz: int, to_hz: int) -> Tensor:
    return torch.cat(list(resample_blocks(signal.split(BLOCK_SAMPLES, dim=-1), from_hz, to_hz)), dim=-1)


def soxr_best(signal: Tensor, from_hz: int, to_hz: int) -> Tensor:
    stream = ResampleStream(from_hz, to_hz, len(signal), "float32", "VHQ")
    return torch.from_numpy(stream.resample_chunk(signal.T.contiguous().numpy(), last=True).T.copy())


def with_kernel(resampler: Resampler, half_width: int) -> Resampler:
    """A resampler whose kernel has both rates' product for its size; two odd rates are too much for it."""

    def checked(signal: Tensor, from_hz: int, to_hz: int) -> Tensor:
        divisor = math.gcd(from_hz, to_hz)
        size_bytes = 4 * to_hz // divisor * (from_hz // divisor + 2 * half_width)
        if size_bytes > LARGEST_KERNEL_BYTES:
            raise MemoryError(f"{size_bytes / 1e9:.0f} GB")
        return resampler(signal, from_hz, to_hz)

    return checked


def resamplers() -> dict[str, Resampler]:
    found = {
        "demixer: soxr HQ, a stream": ours,
        "soxr VHQ": soxr_best,
        "torchaudio, its default (here until now)": with_kernel(torchaudio_resample, 6),
        "torchaudio, kaiser_best": with_kernel(partial(torchaudio_resample, **KAISER_BEST), 64),
    }
    try:
        from julius import resample_frac
    except ModuleNotFoundError:
        print("julius is left out: `pip install julius` adds it", file=sys.stderr)
        return found
    return found | {
        "julius, its default": with_kernel(resample_frac, 24),
        "julius, zeros=64": with_kernel(partial(resample_frac, zeros=64), 64),
    }


def level_db(resampler: Resampler, hz: float) -> float:
    """What a tone becomes, against itself."""
    tone = torch.sin(2 * math.pi * hz * torch.arange(2 * FROM_HZ, dtype=torch.float64) / FROM_HZ).float()[None]
    power = resampler(tone, FROM_HZ, TO_HZ)[..., EDGE:-EDGE].double().square().mean()
    return 10 * math.log10(2 * power + 1e-30)


def seconds_per_second(resampler: Resampler, from_hz: int, seconds: int) -> str:
    signal = torch.randn(2, seconds * from_hz)
    try:
        resampler(signal[:, :from_hz], from_hz, TO_HZ)
    except MemoryError as error:
        return f"needs {error}"
    times = []
    for _ in range(3):
        begin = time.process_time()
        resampler(signal, from_hz, TO_HZ)
        times.append(time.process_time() - begin)
    return f"{min(times) / seconds:.5f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-s", "--seconds", type=int, default=20, help="of noise; default: %(default)s")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tones = [f"{hz // 1000} kHz" for hz in TONES_HZ]
    table = Table("48 → 44.1 kHz, dB", *tones, "loudest alias", "s per s", f"{ODD_HZ:,} → {TO_HZ:,}: s per s")
    for name, resampler in resamplers().items():
        levels = [f"{level_db(resampler, hz):z.2f}" for hz in TONES_HZ]
        alias = max(level_db(resampler, hz) for hz in BEYOND_HZ)
        times = [seconds_per_second(resampler, from_hz, args.seconds) for from_hz in (FROM_HZ, ODD_HZ)]
        table.add_row(name, *levels, f"{alias:.1f}", *times)
    Console(width=150).print(table)


if __name__ == "__main__":
    run(main)
