"""The two stages: stems one by one in the worker, then the sources of a batch together on the device."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Generator, Tensor

from demixer.data.randomness import happens


class StemAugmentation(Protocol):
    """Changes one stem; drawing its parameters is separate from applying them.

    ``input_samples`` says how many samples ``apply`` needs to give at least ``output_samples``.
    """

    probability: float

    def draw(self, generator: Generator) -> Any: ...
    def input_samples(self, output_samples: int, drawn: Any) -> int: ...
    def apply(self, audio: Tensor, drawn: Any, sample_rate_hz: int) -> Tensor: ...


class MixAugmentation(Protocol):
    """Changes the sources (B, S, C, L) of a batch by one number for each source, ``drawn`` (B, S)."""

    def draw(self, sources: int, generator: Generator) -> Tensor: ...
    def apply(self, audio: Tensor, drawn: Tensor) -> Tensor: ...


Plan = list[tuple[StemAugmentation, Any]]


class Augmentations:
    """All augmentations of a training run, in the order in which they are applied.

    Args:
        stem: Applied to each stem by itself while reading; each happens with its own probability.
        mix: Applied to the sources of a batch before they are summed to the mixture, so that mixture and targets
            carry the same changes.
    """

    def __init__(self, stem: Sequence[StemAugmentation] = (), mix: Sequence[MixAugmentation] = ()) -> None:
        self.stem = tuple(stem)
        self.mix = tuple(mix)

    def plan_stem(self, generator: Generator) -> Plan:
        """Choose the stem augmentations that happen, with their parameters.

        Every parameter is drawn whether used or not: one transform's probability then leaves the others' draws alone.
        """
        drawn = [(one, one.draw(generator), bool(happens(one.probability, 1, generator))) for one in self.stem]
        return [(one, parameters) for one, parameters, chosen in drawn if chosen]

    def mix_batch(self, audio: Tensor, generators: Sequence[Generator]) -> Tensor:
        """Change the sources (B, S, C, L); ``generators`` are the examples' own, so batches may be cut differently."""
        for one in self.mix:
            drawn = torch.stack([one.draw(audio.shape[1], generator) for generator in generators])
            audio = one.apply(audio, drawn.to(audio.device, non_blocking=True))
        return audio


def input_samples(plan: Plan, output_samples: int) -> int:
    """How long a crop the plan needs to give ``output_samples``."""
    for one, drawn in reversed(plan):
        output_samples = one.input_samples(output_samples, drawn)
    return output_samples


def apply_plan(plan: Plan, audio: Tensor, sample_rate_hz: int, output_samples: int) -> Tensor:
    """Change a stem (C, L ≥ ``input_samples``) and trim it to (C, output_samples)."""
    for one, drawn in plan:
        audio = one.apply(audio, drawn, sample_rate_hz)
    return audio[..., :output_samples]
