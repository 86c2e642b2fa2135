"""Ratios of error and target in decibels: an item counts by what it gains, however loud it is."""

from dataclasses import dataclass

from torch import Tensor

from demixer.model.separation_network import SeparationNetwork
from demixer.training.losses.terms import Loss, item_means, mixture_power


@dataclass(frozen=True)
class SNRLoss(Loss):
    """The negative signal-to-noise ratio of each target in dB, over both channels.

    10·log10((Σ e² + τ Σ x²) / (Σ s² + τ Σ x²)) with the target s, its error e, the mixture x and τ = 10^(−max / 10):
    an error ``max_snr_db`` below the mixture counts as none, so that easy targets cannot go on paying, and a target's
    silence is a finite 0 … ``max_snr_db`` dB. The threshold is that of Wisdom et al. 2020 (arXiv 2006.12701, eq. 2),
    taken of the mixture for silent targets as in Wisdom et al. 2021 (arXiv 2011.00803), here for all of them.

    Args:
        max_snr_db: error below the mixture that counts as none.
    """

    max_snr_db: float = 30.0

    def terms(self, network: SeparationNetwork, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """See :class:`Loss`."""
        negligible = mixture_power(mixture) * 10 ** (-self.max_snr_db / 10)
        error_power = (network(mixture) - targets).square().mean((2, 3))
        target_power = targets.square().mean((2, 3))
        return {"loss_snr": 10 * ((error_power + negligible).log10() - (target_power + negligible).log10())}


@dataclass(frozen=True)
class L1SNRLoss(Loss):
    """The same ratio of mean magnitudes: of the waveform, of the real parts, and of the imaginary parts.

    Each term is 10·log10((‖e‖₁ + ε) / (‖s‖₁ + ε)), ‖·‖₁ being the mean magnitude and ε = 1e-3, as in Watcharasupat et
    al. 2023 (arXiv 2309.02539, section on the loss; ε and the spectrograms' scale, divided by their window's norm, as
    in the authors' code, kwatcharasupat/bandit). ε makes a silent target's loss and slope finite.

    Args:
        epsilon: mean magnitude that is negligible, in the unit of samples.
    """

    epsilon: float = 1e-3

    def terms(self, network: SeparationNetwork, mixture: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """See :class:`Loss`."""
        scale = 1 / network.spectrogram.window.norm()
        estimated, true = network.estimate_spectra(mixture), network.spectrogram(targets)
        error = (estimated - true) * scale
        waveforms = network.spectrogram.inverse(estimated, mixture.shape[-1])
        return {
            "loss_waveform": self._ratio_db(waveforms - targets, targets),
            "loss_real": self._ratio_db(error.real, true.real * scale),
            "loss_imaginary": self._ratio_db(error.imag, true.imag * scale),
        }

    def _ratio_db(self, error: Tensor, target: Tensor) -> Tensor:
        return 10 * ((item_means(error) + self.epsilon).log10() - (item_means(target) + self.epsilon).log10())
