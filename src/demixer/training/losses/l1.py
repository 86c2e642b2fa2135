"""The paper's loss."""

from dataclasses import dataclass

from torch import Tensor

from demixer.model.separation_network import SeparationNetwork
from demixer.training.losses.terms import Loss, item_means, loudness_weight


@dataclass(frozen=True)
class L1Loss(Loss):
    """The paper's loss: L1 of the real parts, of the imaginary parts, and of the waveforms, each a mean.

    Args:
        equal_loudness: weigh each item as if its mixture's RMS were 0.1. A quiet crop then teaches as much as a loud
            one, as it counts in a signal-to-distortion ratio; the paper's loss is ruled by the loud ones.
    """

    equal_loudness: bool = False

    def terms(self, network: SeparationNetwork, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """See :class:`Loss`."""
        estimated = network.estimate_spectra(mixture)
        error = estimated - network.spectrogram(targets)
        waveforms = network.spectrogram.inverse(estimated, mixture.shape[-1])
        errors = {"loss_real": error.real, "loss_imaginary": error.imag, "loss_waveform": waveforms - targets}
        weight = loudness_weight(mixture) if self.equal_loudness else 1
        return {name: item_means(error) * weight for name, error in errors.items()}
