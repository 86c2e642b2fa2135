"""From a model's settings to its network."""

from collections.abc import Mapping
from typing import Any

from demixer.errors import UserError
from demixer.model.bandsplitrnn import BandSplitRNN
from demixer.model.modules.bands import band_widths_bins
from demixer.model.modules.spectrogram import Spectrogram
from demixer.model.separation_network import SeparationNetwork


def build_network(hparams: Mapping[str, Any]) -> SeparationNetwork:
    """Build the network that a model's ``hparams.yaml`` describes, with fresh weights.

    Args:
        hparams: ``targets`` (names), ``bands_hz`` (rows up_to, width) or ``bands_bins`` (each band's width),
            ``featurizer`` (n_fft, hop_samples, sample_rate_hz) and ``model`` (arguments of :class:`BandSplitRNN`,
            and ``band_edges``, which says how ``bands_hz`` become bins).

    Raises:
        UserError: a setting is missing, unknown or impossible.
    """
    try:
        featurizer, model = dict(hparams["featurizer"]), dict(hparams["model"])
        targets, sample_rate_hz = list(hparams["targets"]), int(featurizer.pop("sample_rate_hz"))
        spectrogram = Spectrogram(**featurizer)
        edges, widths = model.pop("band_edges", "nominal"), hparams.get("bands_bins")
        if widths is None:
            widths = band_widths_bins(hparams["bands_hz"], spectrogram.n_fft, sample_rate_hz, edges)
        if sum(widths) != spectrogram.bins:
            raise ValueError(f"`bands_bins` add up to {sum(widths)} bins instead of {spectrogram.bins}")
        bandsplitrnn = BandSplitRNN(widths, len(targets), **model)
    except KeyError as error:
        raise UserError(f"the model's settings lack {error}") from error
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:  # the last are torch's, of sizes
        raise UserError(f"the model's settings describe no network: {error}") from error
    return SeparationNetwork(targets, sample_rate_hz, spectrogram, bandsplitrnn)
