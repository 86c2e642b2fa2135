"""Waveform to waveforms: the Fourier transform, the band-split RNN and the inverse, built from a model's settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from model.bandsplitrnn import BandSplitRNN
from model.modules.bands import band_widths_bins
from model.modules.spectrogram import Spectrogram
from utils.errors import UserError


class SeparationNetwork(nn.Module):
    """The mixture's waveform → the targets' waveforms, over a whole signal at once.

    Args:
        targets: names of the S estimated sources, in the order of the output.
        sample_rate_hz: sample rate that the network was trained at.
        spectrogram: the transform and its inverse.
        bandsplitrnn: the network between them.

    Attributes:
        window_samples: the only length that the network accepts, or None where any will do.

    Shapes:
        (B, C, L) → (B, S, C, L).
    """

    def __init__(
        self, targets: Sequence[str], sample_rate_hz: int, spectrogram: Spectrogram, bandsplitrnn: nn.Module
    ) -> None:
        super().__init__()
        self.targets = tuple(targets)
        self.sample_rate_hz = sample_rate_hz
        self.spectrogram = spectrogram
        self.bandsplitrnn = bandsplitrnn
        self.window_samples: int | None = None

    def forward(self, mixture: Tensor) -> Tensor:
        return self.spectrogram.inverse(self.estimate_spectra(mixture), mixture.shape[-1])

    def estimate_spectra(self, mixture: Tensor) -> Tensor:
        """(B, C, L) → the targets' spectrograms (B, S, C, F, T), which the training loss also compares."""
        return self.bandsplitrnn(self.spectrogram(mixture))


def build_network(hparams: Mapping[str, Any]) -> SeparationNetwork:
    """Build the network that a model's ``hparams.yaml`` describes, with fresh weights.

    Args:
        hparams: ``targets`` (names), ``bands_hz`` (rows up_to, width), ``featurizer`` (n_fft, hop_samples,
            sample_rate_hz) and ``model`` (arguments of :class:`BandSplitRNN`, and ``band_edges``).

    Raises:
        UserError: a setting is missing, unknown or impossible.
    """
    try:
        featurizer, model = dict(hparams["featurizer"]), dict(hparams["model"])
        targets, sample_rate_hz = list(hparams["targets"]), int(featurizer.pop("sample_rate_hz"))
        spectrogram = Spectrogram(**featurizer)
        widths = band_widths_bins(
            hparams["bands_hz"], spectrogram.n_fft, sample_rate_hz, model.pop("band_edges", "nominal")
        )
        bandsplitrnn = BandSplitRNN(widths, len(targets), **model)
    except KeyError as error:
        raise UserError(f"the model's settings lack {error}") from error
    except (TypeError, ValueError) as error:
        raise UserError(f"the model's settings describe no network: {error}") from error
    return SeparationNetwork(targets, sample_rate_hz, spectrogram, bandsplitrnn)
