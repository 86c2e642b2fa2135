"""What a hop of live separation costs: ``python benchmarks/live.py``, which prints the README's table.

The networks of ``experiment=live`` with random weights, all of their targets, stereo noise: milliseconds of a hop,
which must stay below the hop's own, and of all cores together ("CPU"), which others on the machine change less. The
runtimes take turns, so that a machine which others slow down slows all of them. ``--overrides`` are of conf/.
"""

import argparse
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from math import ceil
from pathlib import Path
from statistics import median

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import demixer.training.config  # noqa: F401  (registers the resolvers)
from demixer.model.building import build_network
from demixer.model.live.folding import folded
from demixer.model.live.network import LiveNetwork
from demixer.paths import CONF_DIR
from demixer.separation.onnx_export import trace_live
from demixer.training.runs import model_hparams

CONFIGURATIONS = {
    "live": ["featurizer=live"],
    "live_23ms, light": ["featurizer=live_23ms", "model=bandsplitrnn_live_light"],
    "live_12ms, light": ["featurizer=live_12ms", "model=bandsplitrnn_live_light"],
    "live_23ms": ["featurizer=live_23ms"],
}
HEAD = ("configuration", "threads", "runtime", "CPU", "median", "99 %", "worst", "hop (ms)", "99 % / hop")
WARM_UP = 20  # hops that are not counted
Step = Callable[[Tensor], object]


class Flat(nn.Module):
    """A network's step with its state as a list, which is all that traced programs take."""

    def __init__(self, network: LiveNetwork) -> None:
        super().__init__()
        self.network, self.names = network, list(network.initial_state(1, 2))

    def forward(self, mixture: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        stems, state = self.network.step(mixture, dict(zip(self.names, values, strict=True)))
        return stems, *(state[name] for name in self.names)


def stepping(program: Callable[..., tuple[Tensor, ...]], network: LiveNetwork) -> Step:
    """Hop after hop, the state handed on."""
    state = list(network.initial_state(1, 2).values())

    def step(hop: Tensor) -> Tensor:
        nonlocal state
        stems, *state = program(hop, *state)
        return stems

    return step


def eager(network: LiveNetwork, precision: torch.dtype = torch.float32) -> Step:
    def program(*tensors: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            return flat(*tensors)

    flat = Flat(network)
    return stepping(program, network)


def eager_folded(network: LiveNetwork) -> Step:
    return eager(folded(network))


def compiled(network: LiveNetwork) -> Step:
    return stepping(torch.compile(Flat(folded(network)), dynamic=False), network)


def torchscript(network: LiveNetwork) -> Step:
    example = torch.zeros(1, 2, network.hop_samples), *network.initial_state(1, 2).values()
    return stepping(
        torch.jit.freeze(torch.jit.trace(Flat(folded(network)).eval(), example, check_trace=False)), network
    )


def onnx(network: LiveNetwork) -> Step:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/live.onnx"
        trace_live(network, 2).save(file, external_data=False)
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()[1:]]
    state = dict(zip(names, (value.numpy() for value in network.initial_state(1, 2).values()), strict=True))

    def step(hop: Tensor) -> object:
        nonlocal state
        stems, *after = session.run(None, {"mixture": hop.numpy()} | state)
        state = dict(zip(names, after, strict=True))
        return stems

    return step


RUNTIMES: dict[str, Callable[[LiveNetwork], Step]] = {
    "eager": eager,
    "eager, folded": eager_folded,
    "eager bf16": partial(eager, precision=torch.bfloat16),
    "compile": compiled,
    "torchscript": torchscript,
    "onnxruntime": onnx,
}


def build(overrides: list[str]) -> LiveNetwork:
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("config", ["experiment=live", "run_dir=.", *overrides])
    torch.manual_seed(0)
    return build_network(model_hparams(cfg)).eval().requires_grad_(False)


@torch.inference_mode()
def milliseconds(network: LiveNetwork, runtimes: list[str], hops: int) -> Iterator[tuple[str, list[float], float]]:
    """Each runtime's times, sorted, and its median of the cores' time; the runtimes take turns."""
    steps = {name: RUNTIMES[name](network) for name in runtimes}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runtimes}
    for _ in range(hops + WARM_UP):
        hop = 0.1 * torch.randn(1, 2, network.hop_samples)
        for name, step in steps.items():
            begin = time.perf_counter(), time.process_time()
            step(hop)
            times[name].append((time.perf_counter() - begin[0], time.process_time() - begin[1]))
    for name, of_runtime in times.items():
        walls, cores = zip(*of_runtime[WARM_UP:], strict=True)
        yield name, sorted(1000 * seconds for seconds in walls), 1000 * median(cores)


def row(*cells: object) -> None:
    """A line of a Markdown table."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--overrides", nargs="+", default=[], help="of conf/, of all configurations")
    parser.add_argument("-c", "--configuration", nargs="+", choices=CONFIGURATIONS, default=list(CONFIGURATIONS))
    parser.add_argument("-r", "--runtime", nargs="+", choices=RUNTIMES, default=list(RUNTIMES))
    parser.add_argument("-t", "--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("-n", "--hops", type=int, default=500)
    args = parser.parse_args()
    warnings.simplefilter("ignore")  # TorchScript is deprecated, and says so at every turn
    row(*HEAD)
    row(*("---" for _ in HEAD))
    for configuration in args.configuration:
        network = build([*CONFIGURATIONS[configuration], *args.overrides])
        hop_ms = 1000 * network.hop_samples / network.sample_rate_hz
        for threads in args.threads:
            torch.set_num_threads(threads)
            for name, times, cores in milliseconds(network, args.runtime, args.hops):
                numbers = cores, times[len(times) // 2], times[ceil(0.99 * len(times)) - 1], times[-1], hop_ms
                share = f"{numbers[2] / hop_ms:.2f}"
                row(configuration, threads, name, *(f"{number:.2f}" for number in numbers), share)


if __name__ == "__main__":
    main()
