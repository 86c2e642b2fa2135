"""What the losses have in common: terms for every target of every item, and their means."""

from torch import Tensor

from demixer.model.separation_network import SeparationNetwork

REFERENCE_RMS = 0.1
QUIETEST_RMS = 1e-3  # below it a crop counts as silence, which must not be blown up


class Loss:
    """Called, it gives the means of its terms; ``terms`` are what a wrapper may choose from first."""

    def __call__(self, network: SeparationNetwork, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The terms by name, each the mean over items and targets; their sum is the loss.

        Args:
            network: mixture → estimates.
            mixture: (B, C, L).
            targets: (B, S, C, L).
        """
        return {name: term.mean() for name, term in self.terms(network, mixture, targets).items()}

    def terms(self, network: SeparationNetwork, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The terms by name, each (B, S)."""
        raise NotImplementedError


def item_means(error: Tensor) -> Tensor:
    """The mean magnitude of an error (B, S, …) for each target of each item: (B, S)."""
    return error.abs().flatten(2).mean(2)


def mixture_power(mixture: Tensor) -> Tensor:
    """The mean square of each mixture (B, C, L), at least that of the quietest one that counts: (B, 1)."""
    return mixture.square().mean((1, 2)).clamp_min(QUIETEST_RMS**2).unsqueeze(1)


def loudness_weight(mixture: Tensor) -> Tensor:
    """What makes each of the mixtures (B, C, L) count as if its RMS were 0.1: (B, 1)."""
    return REFERENCE_RMS / mixture_power(mixture).sqrt()
