"""A training step on a processor: the items of a batch side by side, each on its share of the cores."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from demixer.cores import side_by_side, sizes_of_parts
from demixer.model.modules.spectrogram import Spectrogram
from demixer.model.separation_network import SeparationNetwork


class DividedNetwork:
    """What a loss asks of a :class:`SeparationNetwork`, computed in parts of the batch: forwards and backwards.

    A recurrent layer makes its cores wait for each other at every step, twice as often on the way back; parts wait
    once. The estimates are the network's, and so are the gradients, up to the order in which they are summed.
    """

    def __init__(self, network: SeparationNetwork) -> None:
        self.network = network
        self._parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]

    @property
    def spectrogram(self) -> Spectrogram:
        """The network's transform."""
        return self.network.spectrogram

    def __call__(self, mixture: Tensor) -> Tensor:
        """(B, C, L) → (B, S, C, L)."""
        return _Parts.apply(self.network, mixture, *self._parameters)

    def estimate_spectra(self, mixture: Tensor) -> Tensor:
        """(B, C, L) → (B, S, C, F, T), frame-major in memory as the network's."""

        def frames_of(part: Tensor) -> Tensor:
            return self.network.estimate_spectra(part).mT

        return _Parts.apply(frames_of, mixture, *self._parameters).mT


def divided(network: SeparationNetwork, mixture: Tensor) -> SeparationNetwork | DividedNetwork:
    """The network for a loss of these mixtures (B, C, L), divided where that pays and changes nothing.

    It pays on a processor with more than one item and core. Compiled modules use all cores by themselves. Random
    numbers would be drawn by whichever part comes first, and so another time by another: dropout stays undivided, and
    so do modules that are computed again, which set the generator back.
    """
    inner = network.bandsplitrnn
    drops = any(isinstance(module, nn.Dropout) and module.p > 0 for module in inner.modules())
    pays = mixture.device.type == "cpu" and len(sizes_of_parts(len(mixture))) > 1
    return DividedNetwork(network) if pays and not (inner.compiled or inner.checkpointing or drops) else network


class _Parts(torch.autograd.Function):
    """``function`` of each part of a batch that needs no gradient itself; each part keeps its own graph."""

    @staticmethod
    def forward(ctx: Any, function: Callable[[Tensor], Tensor], batch: Tensor, *parameters: Tensor) -> Tensor:
        autocast = torch.is_autocast_enabled("cpu"), torch.get_autocast_dtype("cpu")

        def compute(part: Tensor) -> Tensor:  # the threads know nothing of each other: no weights cast by another
            enabled, dtype = autocast
            with torch.enable_grad(), torch.autocast("cpu", dtype, enabled=enabled, cache_enabled=False):
                return function(part)

        ctx.sizes = sizes_of_parts(len(batch))
        ctx.estimates, ctx.parameters = side_by_side(compute, batch.detach().split(ctx.sizes)), parameters
        return torch.cat([estimate.detach() for estimate in ctx.estimates])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        def differentiate(part: tuple[Tensor, Tensor]) -> Sequence[Tensor | None]:
            return torch.autograd.grad(part[0], ctx.parameters, part[1], allow_unused=True)

        parts = list(zip(ctx.estimates, gradient.split(ctx.sizes), strict=True))
        return None, None, *map(_total, *side_by_side(differentiate, parts))


def _total(*gradients: Tensor | None) -> Tensor | None:
    """The sum of a parameter's gradients in the parts, in their order; none of them has one that it does not need."""
    return None if gradients[0] is None else sum(gradients[1:], gradients[0])
