"""From a model's settings to its network."""

from collections.abc import Mapping
from typing import Any

from demixer.checkpoints.settings import Settings
from demixer.errors import UserError, one_line
from demixer.model.arguments import ARGUMENTS, MOST_BANDS, RATES_HZ, check_bands, checked, is_list
from demixer.model.band_split_network import BandSplitNetwork
from demixer.model.bandsplitrnn import BandSplitRNN
from demixer.model.layouts.fixed_window import FixedWindowNetwork, FixedWindowRNN
from demixer.model.live.bandsplitrnn import LiveBandSplitRNN
from demixer.model.live.network import LiveNetwork
from demixer.model.live.spectrogram import LiveSpectrogram
from demixer.model.modules.bands import band_widths_bins
from demixer.model.modules.spectrogram import LARGEST_N_FFT, Spectrogram
from demixer.model.separation_network import SeparationNetwork

ARCHITECTURES: dict[str, tuple[type[BandSplitNetwork], type[SeparationNetwork]]] = {
    "bandsplitrnn": (BandSplitRNN, SeparationNetwork),
    "bandsplitrnn_live": (LiveBandSplitRNN, LiveNetwork),
    "fixed_window": (FixedWindowRNN, FixedWindowNetwork),
}


def build_network(hparams: Mapping[str, Any]) -> SeparationNetwork:
    """Build the network that a model's ``hparams.yaml`` describes, with fresh weights.

    Args:
        hparams: ``targets`` (names), ``bands_hz`` (rows up_to, width) or ``bands_bins`` (each band's width),
            ``featurizer`` (n_fft, hop_samples, sample_rate_hz, and of a transform for live networks
            synthesis_samples) and ``model``: ``architecture``, one of
            ``ARCHITECTURES`` ("bandsplitrnn" where it is not given), its arguments (:class:`BandSplitRNN`), and
            ``band_edges``, which says how ``bands_hz`` become bins.

    Raises:
        UserError: a setting is missing, unknown or impossible.
    """
    try:
        return _built(Settings(hparams))
    except (ValueError, RuntimeError) as error:  # the second are torch's, of sizes that no number holds
        raise UserError(f"the model's settings describe no network: {one_line(error)[:500]}") from error


def _built(hparams: Settings) -> SeparationNetwork:
    featurizer, model = hparams.section("featurizer", needed=True), hparams.section("model", needed=True)
    architecture = model.choice("architecture", ARCHITECTURES, "bandsplitrnn")
    of_spectra, of_waveforms = ARCHITECTURES[architecture]
    sample_rate_hz = featurizer.whole("sample_rate_hz", *RATES_HZ)
    spectrogram = _transform(featurizer, of_waveforms)
    own = {name: value for name, value in model.values.items() if name not in ("architecture", "band_edges")}
    arguments = checked(Settings(own, path="model."), ARGUMENTS[architecture])
    if issubclass(of_waveforms, LiveNetwork):
        arguments["hop_seconds"] = spectrogram.hop_samples / sample_rate_hz
    widths, targets = _widths(hparams, model, spectrogram, sample_rate_hz), hparams.values.get("targets")
    if not is_list(targets):
        raise hparams.refuse("targets", "must be a list of names")
    return of_waveforms(targets, sample_rate_hz, spectrogram, of_spectra(widths, len(targets), **arguments))


def _transform(featurizer: Settings, of_waveforms: type[SeparationNetwork]) -> Spectrogram | LiveSpectrogram:
    """The network's own; for whole windows also that of live networks, to compare the two by it alone."""
    kind = LiveSpectrogram if "synthesis_samples" in featurizer.values else of_waveforms.transform
    featurizer.only((*kind.SIZES, "sample_rate_hz"))
    return kind(**{name: featurizer.whole(name, 1, LARGEST_N_FFT, size) for name, size in kind.SIZES.items()})


def _widths(
    hparams: Settings, model: Settings, spectrogram: Spectrogram | LiveSpectrogram, sample_rate_hz: int
) -> list[int]:
    """Each band's width in bins, together those of the spectrogram."""
    edges = model.choice("band_edges", ("nominal", "whole_bins"), "nominal")
    check_bands(hparams)
    widths = hparams.values.get("bands_bins")
    if widths is None:
        widths = band_widths_bins(hparams.values["bands_hz"], spectrogram.n_fft, sample_rate_hz, edges)
    if sum(widths) != spectrogram.bins:
        raise ValueError(f"`bands_bins` add up to {sum(widths)} bins instead of {spectrogram.bins}")
    if len(widths) > MOST_BANDS:
        raise ValueError(f"`bands_hz` make {len(widths)} bands, more than {MOST_BANDS}")
    return list(widths)
