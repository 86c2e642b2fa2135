"""Which device computes."""

import torch

from utils.errors import UserError


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
