"""Which device computes, and how precisely."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from demixer.errors import UserError


def choose_device(name: str = "auto") -> torch.device:
    """The device called ``name``: cpu, cuda, cuda:N, mps, or auto for the best that is present.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    present = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if device is None or (device.index or 0) >= present.get(device.type, 0):
        here = [kind if n == 1 else f"{kind}:0 … {kind}:{n - 1}" for kind, n in present.items() if n]
        raise UserError(f"`device` (={name!r}) is not present here: choose one of auto, {', '.join(here)}")
    return device


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """The number format of matrix products and recurrent layers: fp32, bf16, fp16, or auto: the fast one of the device.

    That is bf16 where it is native, fp16 on GPUs that have only that (CUDA's Volta and Turing, Apple's), else fp32.
    Everything else (transforms, the bands' first projection, normalisation, residual connections, masks, waveforms)
    stays in fp32.

    Raises:
        UserError: there is no such precision.
    """
    known = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    if name == "auto":
        name = "bf16" if _computes_bf16(device) else "fp16" if _computes_fp16_only(device) else "fp32"
    if name not in known:
        raise UserError(f"`precision` (={name!r}) must be auto, fp32, bf16 or fp16")
    return known[name]


@contextmanager
def computing(precision: torch.dtype | None, device: torch.device) -> Iterator[None]:
    """Compute without gradients, and with products in a number format; None: as is set around it."""
    with torch.inference_mode():
        if precision is None:
            yield
        else:
            low = precision != torch.float32
            with torch.autocast(device.type, precision if low else None, enabled=low):
                yield


def _computes_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bf16 natively; emulating it would be slower than fp32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)  # Ampere, the first that does
    if device.type == "cpu":
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return False


def _computes_fp16_only(device: torch.device) -> bool:
    """Whether the device multiplies fp16 faster than fp32, and no bf16."""
    if device.type == "cuda":
        return (7, 0) <= torch.cuda.get_device_capability(device) < (8, 0)  # Volta was the first with units for it
    return device.type == "mps"
