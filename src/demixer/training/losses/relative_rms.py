"""Errors as uSDR counts them."""

from dataclasses import dataclass

from torch import Tensor

from demixer.model.separation_network import SeparationNetwork
from demixer.training.losses.terms import Loss, mixture_power

NEGLIGIBLE_POWER = 1e-6  # of an error over its mixture, 60 dB below it: the root's slope ends there


@dataclass(frozen=True)
class RelativeRMSLoss(Loss):
    """The RMS of each target's error over its mixture's RMS: errors as uSDR counts them, which squares them.

    L1 estimates what is as often too loud as too quiet; this one what is right on average. Unlike the ratio's logarithm
    it does not favour targets that are easy to hear.
    """

    def terms(self, network: SeparationNetwork, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """See :class:`Loss`."""
        error_power = (network(mixture) - targets).square().mean((2, 3))
        return {"loss_rms": (error_power / mixture_power(mixture) + NEGLIGIBLE_POWER).sqrt()}
