"""How far a network's estimates are from the truth, to be minimised."""

from dataclasses import dataclass

from torch import Tensor

from demixer.model.separation_network import SeparationNetwork

REFERENCE_RMS = 0.1
NEGLIGIBLE_POWER = 1e-6  # of an error over its mixture, 60 dB below it: the root's slope ends there
QUIETEST_RMS = 1e-3  # below it a crop counts as silence, which must not be blown up


@dataclass(frozen=True)
class L1Loss:
    """The paper's loss: L1 of the real parts, of the imaginary parts, and of the waveforms, each a mean.

    Args:
        equal_loudness: weigh each item as if its mixture's RMS were 0.1. A quiet crop then teaches as much as a loud
            one, as it counts in a signal-to-distortion ratio; the paper's loss is ruled by the loud ones.
    """

    equal_loudness: bool = False

    def __call__(self, network: SeparationNetwork, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The three terms by name; their sum is the loss.

        Args:
            network: mixture → estimates.
            mixture: (B, C, L).
            targets: (B, S, C, L).
        """
        estimated = network.estimate_spectra(mixture)
        error = estimated - network.spectrogram(targets)
        waveforms = network.spectrogram.inverse(estimated, mixture.shape[-1])
        terms = {"loss_real": error.real, "loss_imaginary": error.imag, "loss_waveform": waveforms - targets}
        by_item = {name: term.abs().flatten(1).mean(1) for name, term in terms.items()}
        if self.equal_loudness:
            rms = mixture.square().mean((1, 2)).sqrt()
            weight = REFERENCE_RMS / rms.clamp_min(QUIETEST_RMS)
            by_item = {name: term * weight for name, term in by_item.items()}
        return {name: term.mean() for name, term in by_item.items()}


@dataclass(frozen=True)
class RelativeRMSLoss:
    """The RMS of each target's error over its mixture's RMS: errors as uSDR counts them, which squares them.

    L1 estimates what is as often too loud as too quiet; this one what is right on average. Unlike the ratio's logarithm
    it does not favour targets that are easy to hear.
    """

    def __call__(self, network: SeparationNetwork, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """The loss by name, the mean over items and targets.

        Args:
            network: mixture → estimates.
            mixture: (B, C, L).
            targets: (B, S, C, L).
        """
        error_power = (network(mixture) - targets).square().mean((2, 3))
        mixture_power = mixture.square().mean((1, 2)).clamp_min(QUIETEST_RMS**2).unsqueeze(1)
        return {"loss_rms": (error_power / mixture_power + NEGLIGIBLE_POWER).sqrt().mean()}
