"""An hour through ``live.py``, as fast as it computes: ``python benchmarks/live_hours.py [--minutes 60] [-c MODEL]``.

The program runs as users run it, between two pipes. Minute by minute it is fed 40 seconds of noise that swells and
fades, and 20 of silence; now and then its memory is read from /proc, and how far what comes out is from what came out
in the second minute: a state that drifts would tell there. At the end it tells its own figures (--stats), and as many
bytes must have come out as went in.
"""

import argparse
import subprocess
import sys
import threading
from pathlib import Path
from typing import BinaryIO

import torch

SRC_DIR = Path(__file__).resolve().parents[1] / "src"
sys.path.insert(0, str(SRC_DIR))

from demixer.paths import LIVE_MODEL

SAMPLE_RATE_HZ, CHANNELS = 44_100, 2
MINUTE_SAMPLES = 60 * SAMPLE_RATE_HZ // 4096 * 4096  # whole hops, so that each begins as the others do


def minute() -> bytes:
    """A minute of PCM, less a tenth of a second: (L, C) in float32."""
    seconds = torch.arange(MINUTE_SAMPLES) / SAMPLE_RATE_HZ
    swell = torch.sin(2 * torch.pi * seconds / 8).clamp(min=0) * (seconds < 40)
    noise = torch.rand(len(seconds), CHANNELS, generator=torch.Generator().manual_seed(0)) - 0.5
    return (0.5 * noise * swell[:, None]).numpy().tobytes()


def resident_megabytes(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(dict(line.split(":", 1) for line in lines)["VmRSS"].split()[0]) * 1024 / 1e6


def feed(stream: BinaryIO, content: bytes, minutes: int) -> None:
    """Write a minute again and again."""
    with stream:
        for _ in range(minutes):
            stream.write(content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--ckpt-path", default=LIVE_MODEL, help="of 44.1 kHz; default: %(default)s")
    parser.add_argument("--minutes", type=int, default=60, help="of audio; default: %(default)s")
    args, of_live = parser.parse_known_args()  # further ones are live.py's
    command = [sys.executable, str(SRC_DIR / "live.py"), "-c", args.ckpt_path, "--stats"]
    command += of_live or ["--gain", "rest=-1"]  # which needs all stems
    content, first, received = minute(), None, 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        threading.Thread(target=feed, args=(process.stdin, content, args.minutes), daemon=True).start()
        told = {1, *range(0, args.minutes, max(1, args.minutes // 12))} - {0}
        for number in range(args.minutes):
            part = process.stdout.read(len(content))
            received += len(part)
            if len(part) == len(content) and number in told:
                samples = torch.frombuffer(bytearray(part), dtype=torch.float32)
                first = samples if first is None else first
                away = (samples - first).abs().max() / first.abs().max()
                print(f"{number:4} min  {resident_megabytes(process.pid):.0f} MB, {away:.1e} away", flush=True)
        received += len(process.stdout.read())
    if process.returncode or received != args.minutes * len(content):
        raise RuntimeError(f"exit code {process.returncode}, {received} bytes of {args.minutes * len(content)}")


if __name__ == "__main__":
    main()
