"""The page's program, with a model that separates a song only as far as the test lets it, however fast the machine is.

``python tests/held_page.py`` is ``app.py``; it reads how far from the file :data:`LET` in its working directory.
"""

import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

import demixer.page.models
from demixer.commands.app import command
from demixer.separation.separator import Separator

HELD = "held"  # the model's name
LET = "windows"  # names the file: how many windows of a song may be computed; all of them where there is none
LOOK_SECONDS = 0.01


def let() -> float:
    try:
        return int(Path(LET).read_text())
    except FileNotFoundError:
        return float("inf")


def held(network: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The network, which waits before each window until it may compute it."""
    computed = count(1)

    def waiting(windows: Tensor) -> Tensor:
        number = next(computed)
        while number > let():
            time.sleep(LOOK_SECONDS)
        return network(windows)

    return waiting


class Models(demixer.page.models.Models):
    """Counts the windows of each song anew."""

    def load(self, name: str) -> Separator:
        free = super().load(name)
        if name != HELD:
            return free
        network = held(free.network)
        return Separator(network, free.targets, free.sample_rate_hz, free.audio_params, free.device, free.precision)


if __name__ == "__main__":
    demixer.page.models.Models = Models
    command()
