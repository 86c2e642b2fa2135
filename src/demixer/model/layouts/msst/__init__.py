"""github.com/ZFTurbo/Music-Source-Separation-Training: BS-RoFormer and Mel-Band RoFormer, ``x.ckpt`` beside a YAML.

Nearly all that musicians exchange is in this layout, and what the package BS-RoFormer writes is, too. All sizes come
from the weights, which say more than the YAML; names, sample rate, transform and windows come from the YAML.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from demixer.checkpoints.fitting import check_shapes
from demixer.errors import UserError
from demixer.model.layouts.msst import architectures
from demixer.model.layouts.msst.keys import is_frequencies, plain_state, shapes
from demixer.model.layouts.msst.settings import read_settings, told_hparams
from demixer.model.layouts.msst.sizes import Sizes, read_sizes
from demixer.model.layouts.msst.unsettled import USUAL_HOP_SAMPLES, assumed_hparams
from demixer.model.layouts.msst.weights import translated
from demixer.model.layouts.saved import Checkpoint, SavedNetwork
from demixer.model.modules.bands import BandTable
from demixer.model.modules.mel_bands import mel_bands

__all__ = ["NAME", "USUAL_HOP_SAMPLES", "matches", "read", "refuse_other"]
NAME = "Music-Source-Separation-Training's RoFormers (.ckpt with .yaml)"


def matches(checkpoint: Checkpoint) -> bool:
    return "band_split.to_features.0.0.gamma" in plain_state(checkpoint.state_dict)


def refuse_other(checkpoint: Path) -> None:
    """Where weights are of no known layout, the YAML beside them may tell what they are.

    Raises:
        UserError: it does.
    """
    try:
        settings = read_settings(checkpoint)
    except UserError:  # nobody knows that it belongs to these weights
        return
    if settings is not None:
        architectures.refuse_other(settings)


def read(checkpoint: Checkpoint) -> SavedNetwork:
    file, state = checkpoint.file, plain_state(checkpoint.state_dict)
    settings = read_settings(file)
    if settings is not None:
        architectures.refuse_other(settings)
    sizes = read_sizes(state, file)
    check_shapes({key: value for key, value in state.items() if not is_frequencies(key)}, shapes(sizes), file)
    hparams = assumed_hparams(file, sizes) if settings is None else told_hparams(settings, sizes)
    weights = translated(state, sizes, _table(hparams, sizes, file))
    return SavedNetwork(hparams, {f"bandsplitrnn.{key}": value for key, value in weights})


def _table(hparams: Mapping[str, Any], sizes: Sizes, file: Path) -> BandTable:
    """The bands as :func:`demixer.model.building.build_network` will have them."""
    if "bands_bins" in hparams:
        return BandTable(hparams["bands_bins"])
    model, featurizer = hparams["model"], hparams["featurizer"]
    try:
        first_bins, widths = mel_bands(model["mel_bands"], featurizer["n_fft"], featurizer["sample_rate_hz"])
    except ValueError as error:
        raise UserError(f"the settings of `{file}` describe no network: {error}") from error
    if [2 * model["channels"] * width for width in widths] != sizes.band_values:
        raise UserError(
            f"the weights `{file}` have other bands than {len(widths)} mel bands of {model['channels']} channel(s) at "
            f"{featurizer['sample_rate_hz']} Hz with `stft_n_fft` (={featurizer['n_fft']}): are the settings theirs?"
        )
    return BandTable(widths, first_bins)
