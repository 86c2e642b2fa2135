"""What a song's stems depend on beside the song: the model, and how it is applied."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from demixer.separation.audio_params import AudioParams
from demixer.separation.separator import Separator
from demixer.songs.manifest import Entry
from demixer.songs.options import Options

OF_NO_STEM = ("targets", "two_stems", "overwrite", "strict", "name")  # options that change no stem's content
OF_NO_WINDOW = ("batch_size",)


@dataclass(frozen=True)
class Recipe:
    """How stems are made.

    Args:
        model: its name.
        checksum: of its weights; None: it has none.
        settings: all else, as JSON has it.
    """

    model: str
    checksum: str | None
    settings: Mapping[str, Any]

    @classmethod
    def of(cls, separator: Separator, options: Options, model: str = "", precision: str = "auto") -> Self:
        """The recipe of a call.

        Args:
            separator: with all of its targets.
            options: how stems are written.
            model: what the user called the model.
            precision: what the user asked for; machines differ in what ``auto`` is, and that makes nothing stale.
        """
        settings = {
            **{name: value for name, value in asdict(options).items() if name not in OF_NO_STEM},
            **{name: value for name, value in asdict(separator.audio_params).items() if name not in OF_NO_WINDOW},
            "precision": precision,
        }
        name = Path(model).resolve().name if model else ""
        return cls(name, _checksum(separator.network), json.loads(json.dumps(settings, default=str)))

    def difference(self, entry: Entry) -> str | None:
        """Why stems of an earlier call are not what this one would write; None: they are."""
        before = entry.model.get("sha256"), entry.settings
        if before[0] != self.checksum:
            return f"made by another model (`{entry.model.get('name')}`)"
        for name, value in self.settings.items():
            earlier = entry.settings.get(name, DEFAULTS.get(name))
            if earlier != value:
                return f"`{name}` was {earlier}, and is {value}"
        return None


DEFAULTS = {one.name: one.default for settings in (Options, AudioParams) for one in fields(settings)}


def _checksum(network: object) -> str | None:
    """SHA-256 of a network's weights: their names, shapes and values."""
    if not isinstance(network, nn.Module):
        return None
    total = hashlib.sha256()
    for name, weights in network.state_dict().items():
        total.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
        total.update(weights.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
