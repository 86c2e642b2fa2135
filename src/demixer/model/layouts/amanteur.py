"""github.com/amanteur/BandSplitRNN-PyTorch: a bare state dict (``vocals.pt``) with a ``hparams.yaml`` beside it.

Its network is another one than the paper's (:mod:`demixer.model.layouts.fixed_window`). Its mask's last two linear
layers follow each other without a nonlinearity between them; they become one, multiplied out in double precision.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from demixer.checkpoints.fitting import check_shapes
from demixer.checkpoints.locating import HPARAMS_NAME
from demixer.checkpoints.settings import Settings
from demixer.errors import UserError
from demixer.model.arguments import MOST_MODULES, RATES_HZ
from demixer.model.layouts.saved import Checkpoint, SavedNetwork
from demixer.model.layouts.translate import (
    Shape,
    State,
    bin_major,
    block_shapes,
    by_group,
    count,
    refuse,
    residual_rnn,
    rnn_of,
    shape_of,
    times,
    widths_of,
)
from demixer.model.modules.bands import BandTable
from demixer.model.modules.spectrogram import LARGEST_N_FFT
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
    if not isinstance(checkpoint.hparams.get("model"), Mapping):
        raise UserError(f"`{checkpoint.file}` needs the {HPARAMS_NAME} that was published with it in its folder")
    hparams = Settings(checkpoint.hparams, f"the {HPARAMS_NAME} of `{checkpoint.file}`")
    settings = hparams.section("model")
    refuse(settings, _SUPPORTED)
    state = {key.removeprefix(prefix): value for key, value in checkpoint.state_dict.items()}
    widths, model = _sizes(state, settings)
    check_shapes(state, _shapes(state, widths, model), checkpoint.file)
    repeats = model["repeats"]
    own = {
        "targets": [_target(checkpoint)],
        "bands_bins": widths,
        "featurizer": {
            "n_fft": settings.whole("n_fft", 2, LARGEST_N_FFT, 2048),
            "hop_samples": hparams.section("featurizer")
            .section("direct_transform")
            .whole("hop_length", 1, LARGEST_N_FFT, 512),
            "sample_rate_hz": settings.whole("sr", *RATES_HZ, 44100),
        },
        "model": {"architecture": "fixed_window", **model, "frames_last": frames_last},
        "audio_params": _audio_params(hparams.section("audio_params"), hparams.section("test_dataset")),
    }
    weights = _weights(state, BandTable(widths), repeats, frames_last)
    return SavedNetwork(own, {f"bandsplitrnn.{key}": value for key, value in weights})


def _sizes(state: State, settings: Settings) -> tuple[list[int], dict[str, Any]]:
    """The bands' widths in bins, and the arguments of this project's network, as the weights tell them."""
    frames, features = shape_of(state, "maskest.layernorms.0.weight", 2)
    rnn, rnn_factor = rnn_of(state, "bandsequence.bsrnn.0.0.rnn.weight_hh_l0", features)
    repeats = count(state, "bandsequence.bsrnn.#.0.groupnorm.weight")
    if settings.whole("num_layers", 1, MOST_MODULES, 12) != repeats:
        raise settings.refuse("num_layers", f"does not go with the weights, which have {repeats}")
    model = {"frames": frames, "features": features, "repeats": repeats, "rnn": rnn, "rnn_factor": rnn_factor}
    model["mask"] = {"hidden_factor": times(state, "maskest.mlp.0.mlp.0.weight", 2, features)}
    return widths_of(state, "bandsplit.layernorms.#.weight", 2, VALUES_PER_BIN), model


def _shapes(state: State, widths: list[int], model: Mapping[str, Any]) -> Iterator[tuple[str, Shape]]:
    """Every key that such a network has, and the shape of its tensor."""
    features, frames, hidden = model["features"], model["frames"], model["mask"]["hidden_factor"] * model["features"]
    for k, width in enumerate(widths):
        values = VALUES_PER_BIN * width
        inner = shape_of(state, f"maskest.mlp.{k}.mlp.2.weight", 2)[0]
        yield from ((f"bandsplit.layernorms.{k}.{kind}", (values, frames)) for kind in ("weight", "bias"))
        yield from ((f"maskest.layernorms.{k}.{kind}", (frames, features)) for kind in ("weight", "bias"))
        layers = {f"bandsplit.fcs.{k}": (features, values), f"maskest.mlp.{k}.mlp.0": (hidden, features)}
        layers |= {f"maskest.mlp.{k}.mlp.2": (inner, hidden), f"maskest.mlp.{k}.mlp.3.linear": (2 * values, inner)}
        for layer, shape in layers.items():
            yield f"{layer}.weight", shape
            yield f"{layer}.bias", shape[:1]
    for r in range(model["repeats"]):
        for way in (0, 1):
            source = f"bandsequence.bsrnn.{r}.{way}"
            yield from block_shapes(source, _BLOCK_NAMES, features, model["rnn"], model["rnn_factor"])


def _audio_params(own: Settings, test: Settings) -> dict[str, Any]:
    """Its ``win_size`` and ``hop_size`` in seconds; no ``window`` there is this project's own cross-fade."""
    audio = own if own.values else test
    window_seconds = audio.number("win_size", 0, 600, 3)
    params = {
        "window_seconds": float(window_seconds),
        "hop_seconds": float(min(audio.number("hop_size", 0, 600, 0.5), window_seconds)),
        "batch_size": audio.whole("batch_size", 1, 10_000, 4),
    }
    return params | ({"fade": "hann"} if audio.values.get("window") == "hann" else {})


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
