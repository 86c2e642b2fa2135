"""What a layout reads and what it gives back."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """A weights file as it was found.

    Args:
        file: where it stands; some layouts name their target only here.
        content: what is in it, plain data and tensors.
        hparams: what ``hparams.yaml`` beside it says; empty where there is none.
    """

    file: Path
    content: Mapping[str, Any]
    hparams: Mapping[str, Any]

    @property
    def state_dict(self) -> Mapping[str, Any]:
        """The state dict beside an optimiser's, under any of the names in use, or the content where that is bare."""
        inner = (self.content.get(name) for name in ("state_dict", "model_state_dict", "model"))
        return next((state for state in inner if isinstance(state, Mapping)), self.content)


@dataclass(frozen=True)
class SavedNetwork:
    """A network in this project's own terms.

    Args:
        hparams: what :func:`demixer.model.building.build_network` takes, and ``audio_params``.
        weights: the state dict of the network that they describe.
    """

    hparams: dict[str, Any]
    weights: dict[str, Tensor]
