"""The YAML beside a checkpoint of Music-Source-Separation-Training, as plain data, and what it says in our terms."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from demixer.checkpoints.locating import settings_beside
from demixer.errors import UserError, one_line

_SECTIONS = {"audio", "model", "training", "inference"}
_OTHERS = {  # what only the settings of that architecture have; the program itself is told the name on its command line
    "mdx23c": {"num_blocks_per_scale", "bottleneck_factor"},
    "scnet": {"band_SR", "bandsplit_ratios", "conv_depths", "n_rnn_layers"},
    "bandit": {"band_specs", "n_sqm_modules"},
    "segm_models or torchseg": {"encoder_name", "decoder_type"},
    "swin_upernet": {"swin_upernet_type"},
    "bs_mamba2": {"num_repeat_mask", "num_repeat_map"},
    "bs_conformer or mel_band_conformer": {"time_conformer_depth", "conv_kernel_size"},
    "apollo": {"win", "layer", "feature_dim"},
}
_WITHOUT_EFFECT = {  # on what a trained network computes; RMS normalisation takes the transform's scale out again
    *("attn_dropout", "ff_dropout", "flash_attn", "linear_flash_attn", "sage_attention", "use_torch_checkpoint"),
    *("dim_freqs_in", "stft_normalized", "match_input_audio_length", "use_shared_bias"),
}
_OFF = {  # newer options, which this project has not: the values with which they change nothing
    "num_residual_streams": (1, "hyper-connections"),
    "num_residual_fracs": (1, "hyper-connections"),
    "add_value_residual": (False, "value residuals"),
    "use_pope": (False, "PoPE, another position embedding"),
    "freq_range": (None, "a part of the spectrum only"),
}
_OF_WEIGHTS = {"dim", "depth", "num_stems", "dim_head", "heads", "time_transformer_depth", "freq_transformer_depth"}
_OF_WEIGHTS |= {"linear_transformer_depth", "mask_estimator_depth", "mlp_expansion_factor", "num_bands"}
_READ = {"stereo", "freqs_per_bands", "sample_rate", "stft_n_fft", "stft_hop_length", "stft_win_length"}
_READ |= {"skip_connection", "zero_dc"}


class _PlainLoader(yaml.SafeLoader):
    """Knows Python's tuples besides plain data, as lists; any other tag is refused."""


_PlainLoader.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: loader.construct_sequence(node, deep=True)
)


def read_settings(checkpoint: Path) -> tuple[Path | None, dict[str, Any]]:
    """The YAML beside a checkpoint and what it says; None and nothing where there is none of that program.

    Raises:
        UserError: it cannot be read as plain data.
    """
    file = settings_beside(checkpoint)
    if file is None:
        return None, {}
    try:
        settings = yaml.load(file.read_text(encoding="utf-8-sig"), _PlainLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"cannot read the settings `{file}` of `{checkpoint}`: {one_line(error)}") from error
    if not isinstance(settings, dict) or not _SECTIONS & settings.keys():
        return None, {}
    return file, settings


def refuse_other_architecture(file: Path, settings: Mapping[str, Any]) -> None:
    """Refuse settings that describe no RoFormer, by the name of what they describe.

    Raises:
        UserError: they do.
    """
    model, named = settings.get("model"), section(settings, "training", file).get("model_type")
    if isinstance(model, Mapping):
        kinds = [name for name, telling in _OTHERS.items() if telling & model.keys()]
        kind = named if named not in (None, "bs_roformer", "mel_band_roformer") else next(iter(kinds), None)
        if kind is None and "depth" not in model:
            kind = "an architecture that is not known here"
    else:
        kind = model or "an architecture that is not named"
    if kind is not None:
        raise UserError(
            f"`{file}` describes {kind}: of Music-Source-Separation-Training, only bs_roformer and mel_band_roformer "
            "are read here"
        )


def refuse_unknown(file: Path, model: Mapping[str, Any]) -> None:
    """Refuse options of the network that this project has not.

    Raises:
        UserError: it names the first.
    """
    for name, (off, what) in _OFF.items():
        if name in model and model[name] != off:
            raise UserError(f"`{file}` has `model.{name}` (={model[name]}): {what}, which are not supported")
    known = _WITHOUT_EFFECT | _OFF.keys() | _OF_WEIGHTS | _READ
    for name in model:
        if name not in known and not str(name).startswith("multi_stft_"):  # those are of the training loss
            raise UserError(f"`{file}` has `model.{name}` (={model[name]!r}), which is not known here")


def audio_params(file: Path, settings: Mapping[str, Any], sample_rate_hz: int) -> dict[str, Any]:
    """Its windows: ``chunk_size`` samples, of which ``num_overlap`` lie over every sample."""
    audio, inference = section(settings, "audio", file), section(settings, "inference", file)
    chunk = number(file, inference, "chunk_size", number(file, audio, "chunk_size", 8 * sample_rate_hz))
    overlaps = number(file, inference, "num_overlap", 2)
    return {
        "window_seconds": chunk / sample_rate_hz,
        "hop_seconds": chunk / overlaps / sample_rate_hz,
        "batch_size": number(file, inference, "batch_size", 1),
    }


def targets(file: Path, settings: Mapping[str, Any], stems: int) -> list[str]:
    """What the network estimates: ``target_instrument``, or all instruments; in small letters, fit for file names.

    Raises:
        UserError: the settings name something other than as many instruments as there are masks.
    """
    training = section(settings, "training", file)
    names, one = training.get("instruments"), training.get("target_instrument")
    chosen = [one] if one else names if isinstance(names, list) else []
    if len(chosen) != stems:
        raise UserError(
            f"`{file}` names {len(chosen)} of `training.instruments` or `target_instrument` ({chosen}), but the "
            f"weights estimate {stems}"
        )
    return ["".join(c if c.isalnum() or c in "_- " else "-" for c in str(name).lower()).strip("- ") for name in chosen]


def section(settings: Mapping[str, Any], name: str, file: Path) -> Mapping[str, Any]:
    """One section; an empty one where there is none."""
    found = settings.get(name) or {}
    if not isinstance(found, Mapping):
        raise UserError(f"`{file}`: `{name}` (={found!r}) must be settings by name")
    return found


def number(file: Path, settings: Mapping[str, Any], name: str, default: int) -> int:
    """A positive whole number; the default where there is none."""
    value = settings.get(name)
    value = default if value is None else value
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise UserError(f"`{file}`: `{name}` (={value!r}) must be a positive whole number")
    return value
