"""github.com/amanteur/BandSplitRNN-PyTorch: a bare state dict (``vocals.pt``) with a ``hparams.yaml`` beside it.

Its network is another one than the paper's (:mod:`demixer.model.layouts.fixed_window`). Its mask's last two linear
layers follow each other without a nonlinearity between them; they become one, multiplied out in double precision.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from demixer.checkpoints.fitting import check_keys
from demixer.checkpoints.locating import HPARAMS_NAME
from demixer.errors import UserError
from demixer.model.layouts.saved import Checkpoint, SavedNetwork
from demixer.model.layouts.translate import (
    State,
    bin_major,
    block_keys,
    by_group,
    count,
    refuse,
    residual_rnn,
    rnn_kind,
)
from demixer.model.modules.bands import BandTable
from demixer.sources import SOURCES

NAME = "amanteur/BandSplitRNN-PyTorch (.pt with hparams.yaml)"
VALUES_PER_BIN = 4  # two channels, real and imaginary
_BLOCK_NAMES = ("groupnorm", "rnn", "fc")
_SUPPORTED = {
    "bottleneck_layer": ["rnn"],
    "bidirectional": [True],
    "return_mask": [False],
    "complex_as_channel": [True],
    "is_mono": [False],
}


def matches(checkpoint: Checkpoint) -> bool:
    return "bandsplit.layernorms.0.weight" in checkpoint.state_dict


def read(checkpoint: Checkpoint, prefix: str = "", frames_last: bool = False) -> SavedNetwork:
    """Translate; ``prefix`` stands before every key."""
    hparams = checkpoint.hparams
    if not isinstance(hparams.get("model"), Mapping):
        raise UserError(f"`{checkpoint.file}` needs the {HPARAMS_NAME} that was published with it in its folder")
    settings = hparams["model"]
    refuse(settings, _SUPPORTED, f"the {HPARAMS_NAME} of `{checkpoint.file}`")
    state = {key.removeprefix(prefix): value for key, value in checkpoint.state_dict.items()}
    bands, repeats = count(state, "bandsplit.layernorms.#.weight"), settings.get("num_layers", 12)
    check_keys(state.keys(), set(_keys(bands, repeats)), checkpoint.file)
    audio = hparams.get("audio_params") or hparams.get("test_dataset") or {}
    transform = (hparams.get("featurizer") or {}).get("direct_transform") or {}
    own = {
        "targets": [_target(checkpoint)],
        "bands_bins": [state[f"bandsplit.layernorms.{k}.weight"].shape[0] // VALUES_PER_BIN for k in range(bands)],
        "featurizer": {
            "n_fft": settings.get("n_fft", 2048),
            "hop_samples": transform.get("hop_length", 512),
            "sample_rate_hz": settings.get("sr", 44100),
        },
        "model": _model(state, repeats, frames_last),
        "audio_params": _audio_params(audio),
    }
    table = BandTable(own["bands_bins"])
    return SavedNetwork(
        own, {f"bandsplitrnn.{key}": value for key, value in _weights(state, table, repeats, frames_last)}
    )


def _keys(bands: int, repeats: int) -> Iterator[str]:
    """Every key that such a network has."""
    for k in range(bands):
        layers = ("bandsplit.layernorms.#", "bandsplit.fcs.#", "maskest.layernorms.#")
        layers += ("maskest.mlp.#.mlp.0", "maskest.mlp.#.mlp.2", "maskest.mlp.#.mlp.3.linear")
        yield from (f"{layer.replace('#', str(k))}.{kind}" for layer in layers for kind in ("weight", "bias"))
    for r in range(repeats):
        for way in (0, 1):
            yield from block_keys(f"bandsequence.bsrnn.{r}.{way}", _BLOCK_NAMES)


def _model(state: State, repeats: int, frames_last: bool) -> dict[str, Any]:
    frames, features = state["maskest.layernorms.0.weight"].shape
    hidden = state["bandsequence.bsrnn.0.0.rnn.weight_hh_l0"]
    return {
        "architecture": "fixed_window",
        "frames": frames,
        "frames_last": frames_last,
        "features": features,
        "repeats": repeats,
        "rnn": rnn_kind(hidden),
        "rnn_factor": hidden.shape[1] // features,
        "mask": {"hidden_factor": state["maskest.mlp.0.mlp.0.weight"].shape[0] // features},
    }


def _audio_params(audio: Mapping[str, Any]) -> dict[str, Any]:
    """Its ``win_size`` and ``hop_size`` in seconds; no ``window`` there is this project's own cross-fade."""
    window_seconds = audio.get("win_size", 3)
    params = {
        "window_seconds": float(window_seconds),
        "hop_seconds": float(min(audio.get("hop_size", 0.5), window_seconds)),
        "batch_size": audio.get("batch_size", 4),
    }
    return params | ({"fade": "hann"} if audio.get("window") == "hann" else {})


def _target(checkpoint: Checkpoint) -> str:
    """From the settings, or else the file's name, or else the folder's."""
    for section in ("audio_params", "test_dataset", "train_dataset"):
        settings = checkpoint.hparams.get(section)
        if isinstance(settings, Mapping) and isinstance(settings.get("target"), str):
            return settings["target"]
    for name in (checkpoint.file.stem, checkpoint.file.absolute().parent.name):
        named = [word for word in re.split(r"[^a-z]+", name.lower()) if word in SOURCES]
        if len(named) == 1:
            return named[0]
    raise UserError(f"`{checkpoint.file}` does not say what it estimates: name it after one of {list(SOURCES)}")


def _weights(state: State, table: BandTable, repeats: int, frames_last: bool) -> Iterator[tuple[str, Tensor]]:
    bands = range(len(table.widths))
    parts = {
        "norm_weight": [bin_major(state[f"bandsplit.layernorms.{k}.weight"].T, VALUES_PER_BIN) for k in bands],
        "norm_bias": [bin_major(state[f"bandsplit.layernorms.{k}.bias"].T, VALUES_PER_BIN) for k in bands],
        "linear.weight": [bin_major(state[f"bandsplit.fcs.{k}.weight"], VALUES_PER_BIN) for k in bands],
        "linear.bias": [state[f"bandsplit.fcs.{k}.bias"] for k in bands],
    }
    for name, per_band in parts.items():
        yield from ((f"split.projections.{g}.{name}", stacked) for g, stacked in by_group(table, per_band))
    for r in range(repeats):
        for i, ours in enumerate(("time", "band")):
            yield from residual_rnn(state, f"bandsequence.bsrnn.{r}.{i}", _BLOCK_NAMES, f"sequence.{r}.{ours}")
    for kind in ("weight", "bias"):
        norms = [state[f"maskest.layernorms.{k}.{kind}"] for k in bands]
        yield f"mask.estimators.0.first.norm_{kind}", torch.stack(norms)
        hidden = [state[f"maskest.mlp.{k}.mlp.0.{kind}"] for k in bands]
        yield f"mask.estimators.0.first.linear.{kind}", torch.stack(hidden)
    outputs = [_output(state, k, frames_last) for k in bands]
    for i, kind in enumerate(("weight", "bias")):
        stacks = by_group(table, [output[i] for output in outputs])
        yield from ((f"mask.estimators.0.outputs.{g}.{kind}", stacked) for g, stacked in stacks)


def _output(state: State, band: int, frames_last: bool) -> tuple[Tensor, Tensor]:
    """Two linear layers as one: A (B x + b) + a = (A B) x + (A b + a); the gate follows the value."""
    first, second = (f"maskest.mlp.{band}.mlp.{layer}" for layer in ("2", "3.linear"))
    outer = state[f"{second}.weight"].double()
    weight = (outer @ state[f"{first}.weight"].double()).float()
    bias = (outer @ state[f"{first}.bias"].double() + state[f"{second}.bias"]).float()
    if frames_last:  # the order in which these checkpoints read their mask is mended where it is read
        return weight, bias
    return tuple(bin_major(x.unflatten(0, (2, -1)), VALUES_PER_BIN, dim=1).flatten(0, 1) for x in (weight, bias))
