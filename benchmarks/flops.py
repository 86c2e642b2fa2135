"""What a network has to compute, and what the machine can: floating-point operations and matrix-product throughput."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from demixer.model.modules.attention import Attention, LinearAttention
from demixer.model.modules.band_linear import BandLinear, NormalisedLinear, ScaledLinear
from demixer.model.modules.band_sequence import TAC
from demixer.model.modules.transformer import Transformer

GATES = {nn.LSTM: 4, nn.GRU: 3}


def count_flops(network: nn.Module, run: Callable[[], object]) -> float:
    """Operations in the matrix products of one ``run``: a multiplication and an addition count as two.

    Of an RNN's attention the products of frames with frames are left out: they are a hundredth of its own.
    """
    total = 0.0

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor | tuple) -> None:
        nonlocal total
        x = inputs[0]
        if isinstance(module, TAC):  # its last layer, which it computes in two halves; those before it count themselves
            total += 2 * x.numel() * module.average.out_features * (1 + 1 / inputs[1])
        elif isinstance(module, (nn.LSTM, nn.GRU)):
            positions = x.numel() / x.shape[-1]
            per_direction = GATES[type(module)] * module.hidden_size * (module.input_size + module.hidden_size)
            total += 2 * (1 + module.bidirectional) * per_direction * positions
        elif isinstance(module, Transformer):
            total += _of_transformer(module, x)
        elif isinstance(module, nn.Linear):
            total += 2 * x.numel() * module.out_features
        else:
            weight = module.linear.weight if isinstance(module, (NormalisedLinear, ScaledLinear)) else module.weight
            total += 2 * x.numel() * weight.shape[1]

    counted = (nn.LSTM, nn.GRU, nn.Linear, NormalisedLinear, ScaledLinear, BandLinear, TAC, Transformer)
    inside = {part for module in network.modules() if isinstance(module, Transformer) for part in module.modules()}
    modules = (module for module in network.modules() if isinstance(module, Transformer) or module not in inside)
    hooks = [module.register_forward_hook(add) for module in modules if isinstance(module, counted)]
    run()
    for hook in hooks:
        hook.remove()
    return total


def _of_transformer(transformer: Transformer, x: Tensor) -> float:
    """All layers over the positions of (steps, A, M, N), and positions with positions, or features with features."""
    positions = x.numel() / x.shape[-1]
    per_position = sum(2 * layer.weight.numel() for layer in transformer.modules() if isinstance(layer, nn.Linear))
    for layer in transformer.layers:
        if isinstance(layer, Attention):
            per_position += 4 * layer.config.inner * x.shape[0]
        elif isinstance(layer, LinearAttention):
            per_position += 4 * layer.config.inner * layer.config.head_width
    return positions * per_position


def beside_matmul(
    run: Callable[[], object], dtype: torch.dtype, device: torch.device, repeats: int
) -> tuple[float, float]:
    """Seconds of the fastest of several runs, and operations a second of the fastest large square matrix product.

    They take turns, so that a machine which others slow down now and then slows both. The first turn only warms up.
    """
    size = 8192 if device.type == "cuda" else 2048
    a = torch.randn(size, size, device=device, dtype=dtype)
    turns = [
        (_seconds(run, device), min(_seconds(lambda: a @ a, device) for _ in range(3))) for _ in range(repeats + 1)
    ]
    fastest, product = (min(seconds) for seconds in zip(*turns[1:], strict=True))
    return fastest, 2 * size**3 / product


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    synchronise(device)
    begin = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - begin


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
