"""From a model's settings to its network."""

from collections.abc import Mapping
from typing import Any

from demixer.errors import UserError
from demixer.model.band_split_network import BandSplitNetwork
from demixer.model.bandsplitrnn import BandSplitRNN
from demixer.model.layouts.fixed_window import FixedWindowNetwork, FixedWindowRNN
from demixer.model.modules.bands import band_widths_bins, mel_bands
from demixer.model.modules.spectrogram import Spectrogram
from demixer.model.roformer import BSRoFormer, MelBandRoFormer
from demixer.model.separation_network import SeparationNetwork

ARCHITECTURES: dict[str, tuple[type[BandSplitNetwork], type[SeparationNetwork]]] = {
    "bandsplitrnn": (BandSplitRNN, SeparationNetwork),
    "fixed_window": (FixedWindowRNN, FixedWindowNetwork),
    "bs_roformer": (BSRoFormer, SeparationNetwork),
    "mel_band_roformer": (MelBandRoFormer, SeparationNetwork),
}


def build_network(hparams: Mapping[str, Any]) -> SeparationNetwork:
    """Build the network that a model's ``hparams.yaml`` describes, with fresh weights.

    Args:
        hparams: ``targets`` (names), ``bands_hz`` (rows up_to, width) or ``bands_bins`` (each band's width),
            ``featurizer`` (n_fft, hop_samples, sample_rate_hz) and ``model``: ``architecture``, one of
            ``ARCHITECTURES`` ("bandsplitrnn" where it is not given), its arguments (:class:`BandSplitRNN`), and
            ``band_edges``, which says how ``bands_hz`` become bins. Bands of its own, ``model.bands_bins`` or a number
            of ``model.mel_bands``, which overlap, come before those.

    Raises:
        UserError: a setting is missing, unknown or impossible.
    """
    try:
        featurizer, model = dict(hparams["featurizer"]), dict(hparams["model"])
        of_spectra, of_waveforms = _architecture(model.pop("architecture", "bandsplitrnn"))
        targets, sample_rate_hz = list(hparams["targets"]), int(featurizer.pop("sample_rate_hz"))
        spectrogram = Spectrogram(**featurizer)
        bands = _bands(hparams, model, spectrogram, sample_rate_hz)
        return of_waveforms(targets, sample_rate_hz, spectrogram, of_spectra(targets=len(targets), **bands, **model))
    except KeyError as error:
        raise UserError(f"the model's settings lack {error}") from error
    except (TypeError, ValueError, ArithmeticError, RuntimeError) as error:  # the last are torch's, of sizes
        raise UserError(f"the model's settings describe no network: {error}") from error


def _bands(
    hparams: Mapping[str, Any], model: dict[str, Any], spectrogram: Spectrogram, sample_rate_hz: int
) -> dict[str, list[int]]:
    """Each band's width, and its first bin where they overlap; what says so is taken out of ``model``."""
    edges, mel, own = model.pop("band_edges", "nominal"), model.pop("mel_bands", None), model.pop("bands_bins", None)
    if mel is not None:
        first_bins, widths = mel_bands(mel, spectrogram.n_fft, sample_rate_hz)
        return {"widths": widths, "first_bins": first_bins}
    widths = own or hparams.get("bands_bins")
    if widths is None:
        widths = band_widths_bins(hparams["bands_hz"], spectrogram.n_fft, sample_rate_hz, edges)
    if sum(widths) != spectrogram.bins:
        raise ValueError(f"`bands_bins` add up to {sum(widths)} bins instead of {spectrogram.bins}")
    return {"widths": widths}


def _architecture(name: Any) -> tuple[type[BandSplitNetwork], type[SeparationNetwork]]:
    if name not in list(ARCHITECTURES):  # a list also takes what cannot be a key
        raise ValueError(f"`model.architecture` (={name!r}) must be one of {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]
