"""Batches as large as a device's memory holds."""

import logging
import re
from collections.abc import Callable

import torch
from torch import Tensor

from demixer.errors import UserError

log = logging.getLogger(__name__)
_NO_MEMORY = re.compile("out of memory|can't allocate memory|not enough memory", re.IGNORECASE)


class FittingBatches:
    """Computes windows in batches; one that the memory does not hold is halved, and so are those after it.

    Args:
        compute: (B, C, L) → (B, S, C, L), on the device.
        device: its name in messages.
    """

    def __init__(self, compute: Callable[[Tensor], Tensor], device: torch.device | None) -> None:
        self._compute, self._device = compute, device
        self._largest: int | None = None  # once the device's memory has not held more

    def __call__(self, windows: Tensor) -> Tensor:
        """All windows (B, C, L) at once, or as many as the memory holds: (B, S, C, L).

        Raises:
            UserError: it does not hold a single one.
        """
        wanted = batch = min(self._largest or len(windows), len(windows))
        while (estimates := self._attempt(windows, batch)) is None:
            if batch == 1:
                raise UserError(
                    f"`{self._device}` has not enough memory for a window of {windows.shape[-1]} samples: choose "
                    "another device, or shorten `audio_params.window_seconds` in the model's hparams.yaml"
                )
            batch //= 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        if batch < wanted:
            self._largest = batch
            message = "`%s` ran out of memory: it computes %d windows at once from now on, not %d, to the same stems"
            log.warning(message, self._device, batch, wanted)
        return estimates

    def _attempt(self, windows: Tensor, batch: int) -> Tensor | None:
        """``batch`` windows at a time; None where that is more than the memory holds."""
        try:
            return torch.cat([self._compute(part) for part in windows.split(batch)])
        except RuntimeError as error:  # only CUDA has a class of its own for it
            if isinstance(error, torch.OutOfMemoryError) or _NO_MEMORY.search(str(error)):
                return None
            raise
