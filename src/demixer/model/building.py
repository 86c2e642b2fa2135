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
from demixer.model.modules.mel_bands import mel_bands
from demixer.model.modules.spectrogram import LARGEST_N_FFT, Spectrogram
from demixer.model.roformer import BSRoFormer, MelBandRoFormer
from demixer.model.separation_network import SeparationNetwork

ARCHITECTURES: dict[str, tuple[type[BandSplitNetwork], type[SeparationNetwork]]] = {
    "bandsplitrnn": (BandSplitRNN, SeparationNetwork),
    "bandsplitrnn_live": (LiveBandSplitRNN, LiveNetwork),
    "fixed_window": (FixedWindowRNN, FixedWindowNetwork),
    "bs_roformer": (BSRoFormer, SeparationNetwork),
    "mel_band_roformer": (MelBandRoFormer, SeparationNetwork),
}
OF_BANDS = ("architecture", "band_edges", "mel_bands", "bands_bins")  # settings of `model` that are no arguments


def build_network(hparams: Mapping[str, Any]) -> SeparationNetwork:
    """Build the network that a model's ``hparams.yaml`` describes, with fresh weights.

    Args:
        hparams: ``targets`` (names), ``bands_hz`` (rows up_to, width) or ``bands_bins`` (each band's width),
            ``featurizer`` (n_fft, hop_samples, window_samples, sample_rate_hz; of a transform for live networks
            synthesis_samples in the window's place) and ``model``: ``architecture``, one of
            ``ARCHITECTURES`` ("bandsplitrnn" where it is not given), its arguments (:class:`BandSplitRNN`), and
            ``band_edges``, which says how ``bands_hz`` become bins. Bands of its own, ``model.bands_bins`` or a number
            of ``model.mel_bands``, which overlap, come before those.

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
    known = ARGUMENTS[architecture]
    own = {name: value for name, value in model.values.items() if name not in OF_BANDS}
    own = {name: value for name, value in own.items() if name in known or value is not None}  # no `tac`: nobody has one
    arguments = checked(Settings(own, path="model."), known)
    if issubclass(of_waveforms, LiveNetwork):
        arguments["hop_seconds"] = spectrogram.hop_samples / sample_rate_hz
    bands, targets = _bands(hparams, model, spectrogram, sample_rate_hz), hparams.values.get("targets")
    if not is_list(targets):
        raise hparams.refuse("targets", "must be a list of names")
    return of_waveforms(targets, sample_rate_hz, spectrogram, of_spectra(targets=len(targets), **bands, **arguments))


def _transform(featurizer: Settings, of_waveforms: type[SeparationNetwork]) -> Spectrogram | LiveSpectrogram:
    """The network's own; for whole windows also that of live networks, to compare the two by it alone."""
    kind = LiveSpectrogram if "synthesis_samples" in featurizer.values else of_waveforms.transform
    featurizer.only((*kind.SIZES, "sample_rate_hz"))
    told = {name: size for name, size in kind.SIZES.items() if size or featurizer.values.get(name) is not None}
    return kind(**{name: featurizer.whole(name, 1, LARGEST_N_FFT, size) for name, size in told.items()})


def _bands(
    hparams: Settings, model: Settings, spectrogram: Spectrogram | LiveSpectrogram, sample_rate_hz: int
) -> dict[str, list[int]]:
    """Each band's width in bins, and its first bin where they overlap."""
    edges = model.choice("band_edges", ("nominal", "whole_bins"), "nominal")
    if model.values.get("mel_bands") is not None:
        first_bins, widths = mel_bands(model.whole("mel_bands", 1, MOST_BANDS), spectrogram.n_fft, sample_rate_hz)
        return {"widths": widths, "first_bins": first_bins}
    told = hparams if model.values.get("bands_bins") is None else model
    check_bands(told)
    widths = told.values.get("bands_bins")
    if widths is None:
        widths = band_widths_bins(told.values["bands_hz"], spectrogram.n_fft, sample_rate_hz, edges)
    first_bin = model.values.get("first_bin")
    if first_bin is not None and sum(widths) + model.whole("first_bin", 0, spectrogram.bins) > spectrogram.bins:
        raise ValueError(f"`bands_bins` reach {sum(widths)} bins up from {first_bin}, of {spectrogram.bins}")
    if first_bin is None and sum(widths) != spectrogram.bins:
        raise ValueError(f"`bands_bins` add up to {sum(widths)} bins instead of {spectrogram.bins}")
    if len(widths) > MOST_BANDS:
        raise ValueError(f"`bands_hz` make {len(widths)} bands, more than {MOST_BANDS}")
    return {"widths": list(widths)}
