"""Matrix products on a processor: by oneDNN where torch itself would take a slower library.

Torch multiplies matrices in single precision with MKL, which reaches less than half of what oneDNN does on processors
that are not Intel's. Its own compiler calls oneDNN through an operator which does the layer's bias and activation on
the way, and takes weights in the layout that the processor reads fastest. That operator is not part of torch's public
interface: where it is missing, everything here is torch's own.
"""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST = 2**20  # multiplications in a product; with fewer, the call takes longer than oneDNN saves
TYPICAL_ROWS = 1024  # for which weights are laid out; they serve any number
ACTIVATIONS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "none": (lambda x: x, ""),
    "gelu": (F.gelu, "none"),  # not its approximation
    "tanh": (torch.tanh, ""),
}


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """What ``F.linear`` and an activation give, up to rounding.

    Args:
        x: (…, inputs).
        weight: (outputs, inputs).
        bias: (outputs,) or None.
        activation: "none", "gelu" or "tanh".

    Returns:
        (…, outputs).
    """
    if x.numel() * len(weight) < SMALLEST or not by_onednn(x, weight):
        return ACTIVATIONS[activation][0](F.linear(x, weight, bias))
    return in_onednn(x, weight.contiguous(), bias, activation)  # a slice takes oneDNN a thousand times as long


def in_onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Tensor:
    """:func:`linear` where :func:`by_onednn` holds."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], ACTIVATIONS[activation][1])


def prepared(weight: Tensor, bias: Tensor | None = None, activation: str = "none") -> Callable[[Tensor], Tensor]:
    """:func:`linear` of many inputs with one weight: where it helps, the weight is laid out for them once."""
    if weight.numel() * TYPICAL_ROWS < SMALLEST or not by_onednn(weight, weight):
        return lambda x: linear(x, weight, bias, activation)
    laid_out = torch.ops.mkldnn._reorder_linear_weight(weight, TYPICAL_ROWS)
    return lambda x: in_onednn(x, laid_out, bias, activation)


def by_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether a product is oneDNN's: on a processor that has its number format, without gradients, as it stands."""
    if x.device.type != "cpu" or torch.is_grad_enabled() or not torch.backends.mkldnn.enabled:
        return False
    if x.dtype != weight.dtype or x.dtype not in _number_formats():
        return False
    rounded = x.dtype == torch.float32 and torch.is_autocast_enabled("cpu")  # by torch's own, to bf16
    return not (rounded or torch.compiler.is_compiling() or torch.jit.is_tracing())


@cache
def _number_formats() -> tuple[torch.dtype, ...]:
    """Those in which this processor's oneDNN has the operator."""
    needed = ("_linear_pointwise", "_reorder_linear_weight", "_is_mkldnn_bf16_supported")
    if not torch.backends.mkldnn.is_available() or not all(hasattr(torch.ops.mkldnn, name) for name in needed):
        return ()
    return (torch.float32, torch.bfloat16) if torch.ops.mkldnn._is_mkldnn_bf16_supported() else (torch.float32,)


class Linear(nn.Linear):
    """``nn.Linear`` through :func:`linear`."""

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias)
