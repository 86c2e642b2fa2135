"""The RoFormers beside the code that the field uses, on the same weights and the same processor.

    python benchmarks/roformers.py [--kind bs] [--rounds 5]

Both get the same batch of windows; the rounds alternate between them, so that what else the machine does meets both.
Needs the package BS-RoFormer of requirements-dev.txt.
"""

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

from demixer.model.building import build_network
from demixer.model.layouts import msst
from demixer.model.layouts.saved import Checkpoint
from demixer.separation.audio_params import AudioParams
from demixer.separation.devices import choose_precision
from demixer.separation.memory import keep_freed_memory
from demixer.separation.separator import Separator

SIZES = {"dim": 384, "stereo": True, "time_transformer_depth": 1, "freq_transformer_depth": 1}
SIZES |= {"stft_hop_length": msst.USUAL_HOP_SAMPLES, "num_residual_streams": 1, "mask_estimator_depth": 2}


def original(kind: str, depth: int) -> torch.nn.Module:
    """Theirs with random weights: no hyper-connections and no value residuals, as in the published checkpoints."""
    import bs_roformer

    torch.manual_seed(0)
    if kind == "mel":
        options = {"linear_transformer_depth": 0, "add_value_residual": False}
        return bs_roformer.MelBandRoformer(depth=depth, **SIZES, **options).eval().requires_grad_(False)
    network = bs_roformer.BSRoformer(depth=depth, **SIZES).eval().requires_grad_(False)
    for module in network.modules():
        if hasattr(module, "to_value_residual_mix"):
            module.to_value_residual_mix = None
    return network


def ours(theirs: torch.nn.Module, precision: torch.dtype) -> Callable[[Tensor], Tensor]:
    """Our network with their weights, as the Separator applies it to a batch of windows."""
    saved = msst.read(Checkpoint(Path("vocals.ckpt"), theirs.state_dict(), {}))
    saved.hparams["model"]["zero_dc"] = False
    network = build_network(saved.hparams)
    network.load_state_dict(saved.weights)
    network.eval().requires_grad_(False)
    params = AudioParams(batch_size=16)
    return Separator(network, network.targets, network.sample_rate_hz, params, "cpu", precision)._batches


def seconds(apply: Callable[[Tensor], Tensor], windows: Tensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        apply(windows)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", choices=["bs", "mel"], default="bs")
    parser.add_argument("--depth", type=int, default=2, help="modules: time grows with them, the ratios hardly")
    parser.add_argument("--batch", type=int, default=2, help="windows at once")
    parser.add_argument("--seconds", type=float, default=8.0, help="length of a window")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="keep freed memory, as demix does: for both of them")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)  # that there is no YAML
    if options.keep:
        keep_freed_memory()
    theirs, windows = (
        original(options.kind, options.depth),
        0.1 * torch.randn(options.batch, 2, round(44100 * options.seconds)),
    )
    auto = choose_precision("auto", torch.device("cpu"))
    runs = {"original, fp32": theirs, "ours, fp32": ours(theirs, torch.float32)}
    runs[f"ours, {str(auto).removeprefix('torch.')} (default)"] = ours(theirs, auto)
    with torch.inference_mode():
        expected = theirs(windows[:, :, :8820])
        for name, apply in runs.items():
            difference = apply(windows[:, :, :8820]).squeeze(1)[..., : expected.shape[-1]] - expected
            print(f"{name}: {difference.norm() / expected.norm():.1e} of the original's output apart")
    times = {name: [] for name in runs}
    for _ in range(options.rounds):
        for name, apply in runs.items():
            times[name].append(seconds(apply, windows))
    base = times["original, fp32"]
    for name, own in times.items():
        ratio = median(first / second for first, second in zip(base, own, strict=True))
        print(f"{name}: {median(own):.2f} s (least {min(own):.2f} s), {ratio:.2f} times the original's speed")


if __name__ == "__main__":
    main()
