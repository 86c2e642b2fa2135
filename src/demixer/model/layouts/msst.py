"""github.com/ZFTurbo/Music-Source-Separation-Training: BS-RoFormer and Mel-Band RoFormer, ``x.ckpt`` beside a YAML.

Nearly all that musicians exchange is in this layout, and what the package BS-RoFormer writes is, too. All sizes come
from the weights, which say more than the YAML; names, sample rate, transform and windows come from the YAML.
"""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demixer.checkpoints.fitting import check_keys
from demixer.errors import UserError, one_line
from demixer.model.layouts import msst_settings as settings_of
from demixer.model.layouts.msst_weights import Sizes, expected_keys, plain_state, read_sizes, translated
from demixer.model.layouts.saved import Checkpoint, SavedNetwork
from demixer.model.modules.bands import BandTable, mel_bands
from demixer.sources import SOURCES

log = logging.getLogger(__name__)
NAME = "Music-Source-Separation-Training's RoFormers (.ckpt with .yaml)"
USUAL_HOP_SAMPLES, USUAL_RATE_HZ = 441, 44100


def matches(checkpoint: Checkpoint) -> bool:
    return "band_split.to_features.0.0.gamma" in plain_state(checkpoint.state_dict)


def refuse_other(checkpoint: Path) -> None:
    """Where weights are of no known layout, the YAML beside them may tell what they are.

    Raises:
        UserError: it does.
    """
    try:
        file, settings = settings_of.read_settings(checkpoint)
    except UserError:  # nobody knows that it belongs to these weights
        return
    if file is not None:
        settings_of.refuse_other_architecture(file, settings)


def read(checkpoint: Checkpoint) -> SavedNetwork:
    state = plain_state(checkpoint.state_dict)
    sizes = read_sizes(state, checkpoint.file)
    file, settings = settings_of.read_settings(checkpoint.file)
    if file is None:
        hparams = _guessed(checkpoint.file, sizes)
    else:
        settings_of.refuse_other_architecture(file, settings)
        hparams = _told(file, settings, sizes)
    check_keys(state.keys(), expected_keys(sizes, state), checkpoint.file)
    table = _table(hparams, checkpoint.file)
    try:
        return SavedNetwork(hparams, dict(translated(state, sizes, table)))
    except (RuntimeError, IndexError) as error:  # torch's, of sizes that do not go together
        raise UserError(f"the weights `{checkpoint.file}` are no whole RoFormer: {one_line(error)}") from error


def _told(file: Path, settings: Mapping[str, Any], sizes: Sizes) -> dict[str, Any]:
    """What the YAML says, held against the weights."""
    model = settings["model"]
    settings_of.refuse_unknown(file, model)
    for name, size in sizes.named().items():
        if model.get(name) not in (None, size):
            raise UserError(f"`{file}` has `model.{name}` (={model[name]}), but the weights have {size}: are they its?")
    n_fft = settings_of.number(file, model, "stft_n_fft", 2048)
    audio = settings_of.section(settings, "audio", file)
    rate_hz = settings_of.number(
        file, audio, "sample_rate", settings_of.number(file, model, "sample_rate", USUAL_RATE_HZ)
    )
    if sizes.mel and model.get("sample_rate", rate_hz) != rate_hz:
        raise UserError(f"`{file}`: `model.sample_rate` and `audio.sample_rate` differ, which is not supported")
    channels = 2 if model.get("stereo", False) else 1
    featurizer = {
        "n_fft": n_fft,
        "hop_samples": settings_of.number(file, model, "stft_hop_length", 512),
        "window_samples": settings_of.number(file, model, "stft_win_length", n_fft),
        "sample_rate_hz": rate_hz,
    }
    switches = {"skip": bool(model.get("skip_connection", False)), "zero_dc": bool(model.get("zero_dc", True))}
    hparams = _hparams(sizes, channels, featurizer, settings_of.targets(file, settings, sizes.stems), **switches)
    return hparams | {"audio_params": settings_of.audio_params(file, settings, rate_hz)}


def _guessed(file: Path, sizes: Sizes) -> dict[str, Any]:
    """Without a YAML: what the weights and the file's name say, and of the rest what nearly all have.

    Raises:
        UserError: they do not say what is estimated.
    """
    named = [word for word in re.split(r"[^a-z]+", file.stem.lower()) if word in SOURCES]
    if sizes.stems > 1 or len(set(named)) != 1:
        raise UserError(
            f"`{file}` needs the YAML that was published with it beside it, with its name (`{file.stem}.yaml`): the "
            f"weights are a {sizes.describe()}, but do not say what it estimates"
        )
    channels, n_fft = _channels_and_transform(file, sizes)
    log.warning(
        "`%s` has no YAML beside it: a hop of %d samples at %d Hz is assumed, as most have",
        *(file, USUAL_HOP_SAMPLES, USUAL_RATE_HZ),
    )
    featurizer = {"n_fft": n_fft, "hop_samples": USUAL_HOP_SAMPLES, "sample_rate_hz": USUAL_RATE_HZ}
    params = {"window_seconds": 8.0, "hop_seconds": 4.0, "batch_size": 1}
    return _hparams(sizes, channels, featurizer, [named[0]]) | {"audio_params": params}


def _channels_and_transform(file: Path, sizes: Sizes) -> tuple[int, int]:
    """Of how many channels and bins bands of these sizes are."""
    for channels in (2, 1):
        widths = [values // (2 * channels) for values in sizes.band_values]
        n_fft = 2048 if sizes.mel else 2 * (sum(widths) - 1)
        tiles = not sizes.mel and n_fft & (n_fft - 1) == 0  # a transform's length is a power of two
        if tiles or (sizes.mel and widths == mel_bands(len(widths), n_fft, USUAL_RATE_HZ)[1]):
            return channels, n_fft
    raise UserError(f"`{file}` needs its YAML beside it: its {len(sizes.band_values)} bands are not the usual ones")


def _hparams(
    sizes: Sizes, channels: int, featurizer: dict[str, int], targets: list[str], **switches: bool
) -> dict[str, Any]:
    bands = {} if sizes.mel else {"bands_bins": [values // (2 * channels) for values in sizes.band_values]}
    model = {**sizes.model(), "channels": channels, "skip": False, "zero_dc": True, **switches}
    if sizes.mel:
        model["mel_bands"] = len(sizes.band_values)
    return {"targets": targets, **bands, "featurizer": featurizer, "model": model}


def _table(hparams: Mapping[str, Any], file: Path) -> BandTable:
    """The bands as :func:`demixer.model.building.build_network` will have them."""
    if "bands_bins" in hparams:
        return BandTable(hparams["bands_bins"])
    model, featurizer = hparams["model"], hparams["featurizer"]
    try:
        first_bins, widths = mel_bands(model["mel_bands"], featurizer["n_fft"], featurizer["sample_rate_hz"])
    except ValueError as error:
        raise UserError(f"the settings of `{file}` describe no network: {error}") from error
    return BandTable(widths, first_bins)
