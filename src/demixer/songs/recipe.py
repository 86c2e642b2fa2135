"""What a song's stems depend on beside the song: the model, and how it is applied."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from demixer.separation.audio_params import AudioParams
from demixer.separation.combining import Combination
from demixer.separation.waveforms import WaveformSeparator
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
    def of(
        cls,
        separator: WaveformSeparator,
        options: Options,
        models: Combination | None = None,
        precision: str = "auto",
    ) -> Self:
        """The recipe of a call.

        Args:
            separator: with all of its targets.
            options: how stems are written.
            models: what the user called the models, and how they work together.
            precision: what the user asked for; machines differ in what ``auto`` is, and that makes nothing stale.
        """
        leaves = separator.leaves()
        windows = [_without(asdict(leaf.audio_params), OF_NO_WINDOW) for leaf in leaves]
        settings = {
            **_without(asdict(options), OF_NO_STEM),
            **(windows[0] if len(windows) == 1 else {"windows": windows}),
            **(models.together() if models else {}),
            "precision": precision,
        }
        sums = [_checksum(leaf.network) for leaf in leaves]
        checksum = sums[0] if len(sums) == 1 else hashlib.sha256(json.dumps(sums).encode()).hexdigest()
        name = "+".join(Path(model).resolve().name for model in (models.models if models else ()))
        return cls(name, checksum, json.loads(json.dumps(settings, default=str)))

    def difference(self, entry: Entry) -> str | None:
        """Why stems of an earlier call are not what this one would write; None: they are."""
        before = entry.model.get("sha256"), entry.settings
        if before[0] != self.checksum:
            return f"made by another model (`{entry.model.get('name')}`)"
        for name in sorted(self.settings.keys() | entry.settings.keys()):
            earlier, now = (settings.get(name, DEFAULTS.get(name)) for settings in (entry.settings, self.settings))
            if earlier != now:
                return f"`{name}` was {earlier}, and is {now}"
        return None


DEFAULTS = {one.name: one.default for settings in (Options, AudioParams) for one in fields(settings)}


def _without(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def _checksum(network: object) -> str | None:
    """SHA-256 of a network's weights: their names, shapes and values."""
    if not isinstance(network, nn.Module):
        return None
    total = hashlib.sha256()
    for name, weights in network.state_dict().items():
        total.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
        total.update(weights.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()
