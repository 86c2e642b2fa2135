"""The stages: stems one by one in the worker, the sources of a batch together on the device, mixtures by themselves."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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
    def input_samples(self, output_samples: int, drawn: Any, sample_rate_hz: int) -> int: ...
    def apply(self, audio: Tensor, drawn: Any, sample_rate_hz: int) -> Tensor: ...


class MixAugmentation(Protocol):
    """Changes the sources (B, S, C, L) of a batch by one number for each source, ``drawn`` (B, S)."""

    def draw(self, sources: int, generator: Generator) -> Tensor: ...
    def apply(self, audio: Tensor, drawn: Tensor, sample_rate_hz: int) -> Tensor: ...


class MixtureAugmentation(Protocol):
    """Changes one example's mixture (C, L) on the processor, and not what it is made of."""

    probability: float

    def draw(self, generator: Generator) -> Any: ...
    def apply(self, audio: Tensor, drawn: Any, sample_rate_hz: int) -> Tensor: ...


Plan = list[tuple[StemAugmentation, Any]]
MixturePlan = list[tuple[MixtureAugmentation, Any]]


class Augmentations:
    """All augmentations of a training run, in the order in which they are applied.

    Each stage is a list, or a mapping whose names let a configuration change one of them.

    Args:
        stem: Applied to each stem by itself while reading; each happens with its own probability.
        mix: Applied to the sources of a batch before they are summed to the mixture, so that mixture and targets
            carry the same changes.
        mixture: Applied to mixtures alone, the targets staying as they are; each happens with its own probability.
    """

    def __init__(
        self,
        stem: Sequence[StemAugmentation] | Mapping[str, StemAugmentation] = (),
        mix: Sequence[MixAugmentation] | Mapping[str, MixAugmentation] = (),
        mixture: Sequence[MixtureAugmentation] | Mapping[str, MixtureAugmentation] = (),
    ) -> None:
        self.stem, self.mix, self.mixture = (
            tuple(stage.values()) if isinstance(stage, Mapping) else tuple(stage) for stage in (stem, mix, mixture)
        )

    def plan_stem(self, generator: Generator) -> Plan:
        """Choose the stem augmentations that happen, with their parameters."""
        return _chosen(self.stem, generator)

    def mix_batch(self, audio: Tensor, generators: Sequence[Generator], sample_rate_hz: int) -> Tensor:
        """Change the sources (B, S, C, L); ``generators`` are the examples' own, so batches may be cut differently."""
        for one in self.mix:
            drawn = torch.stack([one.draw(audio.shape[1], generator) for generator in generators])
            audio = one.apply(audio, drawn.to(audio.device, non_blocking=True), sample_rate_hz)
        return audio

    def change_mixtures(self, audio: Tensor, generators: Sequence[Generator], sample_rate_hz: int) -> Tensor:
        """Change the first mixtures of (B, C, L), one for each generator, side by side on the processor's cores.

        What is not chosen never leaves its device.
        """
        plans = [_chosen(self.mixture, generator) for generator in generators]
        places = [place for place, plan in enumerate(plans) if plan]
        if not places:
            return audio
        chosen = [(plans[place], audio[place].cpu()) for place in places]
        with ThreadPoolExecutor(len(chosen)) as threads:
            changed = torch.stack([*threads.map(lambda pair: _applied(*pair, sample_rate_hz), chosen)])
        return audio.index_copy(0, torch.tensor(places, device=audio.device), changed.to(audio.device))


def _chosen(stage: Iterable[StemAugmentation | MixtureAugmentation], generator: Generator) -> list[tuple[Any, Any]]:
    """What of a stage happens, with its parameters.

    Every parameter is drawn whether used or not: one transform's probability then leaves the others' draws alone.
    """
    drawn = [(one, one.draw(generator), bool(happens(one.probability, 1, generator))) for one in stage]
    return [(one, parameters) for one, parameters, chosen in drawn if chosen]


def _applied(plan: Plan | MixturePlan, audio: Tensor, sample_rate_hz: int) -> Tensor:
    for one, drawn in plan:
        audio = one.apply(audio, drawn, sample_rate_hz)
    return audio


def input_samples(plan: Plan, output_samples: int, sample_rate_hz: int) -> int:
    """How long a crop the plan needs to give ``output_samples``."""
    for one, drawn in reversed(plan):
        output_samples = one.input_samples(output_samples, drawn, sample_rate_hz)
    return output_samples


def apply_plan(plan: Plan, audio: Tensor, sample_rate_hz: int, output_samples: int) -> Tensor:
    """Change a stem (C, L ≥ ``input_samples``) and trim it to (C, output_samples)."""
    return _applied(plan, audio, sample_rate_hz)[..., :output_samples]
