"""How fast songs are separated, and where the time goes: ``python benchmarks/separation.py [-c MODEL ...]``.

For each network and precision: operations a second as a share of the matrix product's, measured in the same process;
seconds of compute for a second of stereo music; the share of each stage; and the process's peak memory. ``paper`` is
the paper's network for one target, with random weights.
"""

import argparse
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import yaml
from rich.console import Console
from rich.table import Table
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from flops import beside_matmul, count_flops, synchronise

from demixer import AudioParams, Separator
from demixer.audio import open_audio, resample_blocks, write_audio
from demixer.model.building import build_network
from demixer.paths import CONF_DIR
from demixer.separation.devices import choose_device, choose_precision
from demixer.separation.memory import keep_freed_memory

STAGES = {
    "Spectrogram": "STFT",
    "BandSplit": "split",
    "time": "time RNN",
    "band": "band RNN",
    "TAC": "TAC",
    "FrameAttention": "attention",
    "MaskEstimation": "mask",
}


def load(name: str, device: torch.device, precision: str) -> Separator:
    if name != "paper":
        return Separator.from_pretrained(name, str(device), precision)
    target = yaml.safe_load((CONF_DIR / "target" / "vocals.yaml").read_text())
    featurizer = yaml.safe_load((CONF_DIR / "featurizer" / "stft.yaml").read_text())
    hparams = {"targets": ["vocals"], "bands_hz": target["bands_hz"], "featurizer": featurizer, "model": {}}
    network = build_network(hparams).to(device).eval().requires_grad_(False)
    return Separator(network, ["vocals"], 44100, AudioParams(), device, choose_precision(precision, device))


@contextmanager
def stage_clock(network: nn.Module, device: torch.device) -> Iterator[dict[str, float]]:
    """Collects the seconds that each stage of the network takes."""
    seconds: dict[str, float] = defaultdict(float)
    begun: dict[nn.Module, float] = {}

    def begin(module: nn.Module, *_: object) -> None:
        synchronise(device)
        begun[module] = time.perf_counter()

    def end(stage: str) -> object:
        def hook(module: nn.Module, *_: object) -> None:
            synchronise(device)
            seconds[stage] += time.perf_counter() - begun[module]

        return hook

    hooks = []
    for name, module in network.named_modules():
        stage = STAGES.get(name.rsplit(".", 1)[-1]) or STAGES.get(type(module).__name__)
        if stage:
            hooks += [module.register_forward_pre_hook(begin), module.register_forward_hook(end(stage))]
    yield seconds
    for hook in hooks:
        hook.remove()


def shares(separator: Separator, mixture: torch.Tensor) -> dict[str, float]:
    """Seconds by stage over a whole song of (C, L), file to file."""
    device, rate_hz = separator.device, separator.sample_rate_hz
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.flac"
        write_audio(song, mixture, rate_hz, "PCM_16")
        begin = time.perf_counter()
        with open_audio(song) as audio:
            blocks = list(resample_blocks(audio.blocks(1 << 18), audio.sample_rate_hz, rate_hz))
        seconds = {"read": time.perf_counter() - begin}
        # a batch in one part, since the clock cannot follow several at once
        params, precision = separator.audio_params, separator.precision
        where = None if device.type == "cpu" else device
        whole_batches = Separator(separator.network, separator.targets, rate_hz, params, where, precision)
        with stage_clock(separator.network, device) as stages:
            begin = time.perf_counter()
            stems = torch.cat(list(whole_batches.stream(blocks)), dim=-1)
            whole = time.perf_counter() - begin
        same = Separator(lambda x: x.unsqueeze(1).expand(-1, len(stems), -1, -1), separator.targets, rate_hz)
        same.audio_params = separator.audio_params
        begin = time.perf_counter()
        list(same.stream(blocks))
        seconds |= stages | {"overlap-add": time.perf_counter() - begin}
        seconds["inverse STFT and other"] = whole - sum(stages.values()) - seconds["overlap-add"]
        begin = time.perf_counter()
        for name, stem in zip(separator.targets, stems, strict=True):
            write_audio(Path(folder) / f"{name}.wav", stem, rate_hz)
        seconds["write"] = time.perf_counter() - begin
    return seconds


def measure(name: str, device: torch.device, precision: str, batch: int, song_seconds: float) -> tuple[list[str], dict]:
    separator = load(name, device, precision)
    params, dtype = separator.audio_params, separator.precision
    window = getattr(separator.network, "window_samples", None) or round(params.window_seconds * 44100)
    windows = 0.1 * torch.randn(batch, 2, window)
    with torch.inference_mode():
        flops = count_flops(separator.network, lambda: separator._compute(windows))  # threads are not counted
        seconds, peak = beside_matmul(lambda: separator._on_device(windows), dtype, device, repeats=7)
    per_second = seconds / batch / (params.hop_seconds)
    song = shares(separator, 0.1 * torch.randn(2, round(song_seconds * 44100)))
    return [
        name,
        str(dtype).removeprefix("torch."),
        str(batch),
        f"{flops / seconds / 1e9:.0f}",
        f"{peak / 1e9:.0f}",
        f"{flops / seconds / peak:.2f}",
        f"{per_second:.3f}",
        f"{params.hop_seconds / params.window_seconds:.2f}",
    ], song


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-c", "--ckpt-path", nargs="+", default=["paper", "musdb18-7s"], help="default: %(default)s")
    parser.add_argument("-d", "--device", default="auto")
    parser.add_argument("-p", "--precision", nargs="+", default=["fp32", "bf16"])
    parser.add_argument("-b", "--batch", nargs="+", type=int, default=[4])
    parser.add_argument("--song-seconds", type=float, default=9.0)
    args = parser.parse_args()
    keep_freed_memory()  # as inference.py does
    device = choose_device(args.device)
    head = ("network", "precision", "batch", "GFLOP/s", "matmul GFLOP/s", "share", "s per s of music", "hop / window")
    speed = Table(*head, title=f"separation on {device}, {torch.get_num_threads()} threads")
    songs = {}
    for name in args.ckpt_path:
        for precision in args.precision:
            for batch in args.batch:
                row, songs[f"{name} {precision}"] = measure(name, device, precision, batch, args.song_seconds)
                speed.add_row(*row)
    console = Console(width=110)
    console.print(speed)
    console.print(stage_table(songs))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    console.print(f"peak memory of this process, all networks: {peak_mb:.0f} MB")


def stage_table(songs: dict[str, dict[str, float]]) -> Table:
    table = Table("stage", *songs, title="share of a song's time, file to file")
    for stage in dict.fromkeys(stage for seconds in songs.values() for stage in seconds):
        shares_of = (seconds.get(stage, 0.0) / sum(seconds.values()) for seconds in songs.values())
        table.add_row(stage, *(f"{share:.1%}" for share in shares_of))
    return table


if __name__ == "__main__":
    main()
