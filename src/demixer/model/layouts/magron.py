"""github.com/magronp/bsrnn (Zenodo record 17516442): BSRNN, oBSRNN and oBSRNN-SIMO as Lightning checkpoints.

Targets, sample rate and transform come from the checkpoint's ``hyper_parameters``, all sizes and the bands from its
weights. A band's values lie (real|imaginary, bins) there, and a mask's (value|gate, real|imaginary, bins); both become
bin-major. The heads of the attention, stored one by one, are stacked.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from demixer.checkpoints.fitting import check_keys
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

NAME = "magronp/bsrnn (.ckpt)"
_BLOCKS = {"time": "time_net", "band": "band_net"}
_BLOCK_NAMES = ("norm", "main_layer", "proj")
_TAC = ("transform", "average", "concat")
_PROJECTIONS = {"query": "attn_conv_Q", "key": "attn_conv_K", "value": "attn_conv_V"}
_SUPPORTED = {
    "bidirectional": [True],
    "mask_ctxt": [0],
    "subtract_last_trgt": [False],
    "n_heads": [1],
    "group_num": [1],
    "stereo": [None, "tac"],
}


def matches(checkpoint: Checkpoint) -> bool:
    keys = checkpoint.state_dict
    return "BN.0.0.weight" in keys and any(key.startswith("separator.0.") for key in keys)


def read(checkpoint: Checkpoint) -> SavedNetwork:
    settings = checkpoint.content.get("hyper_parameters") or {}
    refuse(settings, _SUPPORTED, f"`{checkpoint.file}`")
    state = {
        f"maskers.0.{key}" if key.startswith("mask.") else key: value  # files from before there were several maskers
        for key, value in checkpoint.state_dict.items()
        if not key.startswith(("stft.", "istft."))
    }
    targets = settings.get("targets", settings.get("target"))
    if not targets:
        raise UserError(f"`{checkpoint.file}` does not say what it estimates: `hyper_parameters` lack `targets`")
    targets = list(targets) if isinstance(targets, list) else [targets]
    bands, repeats = (
        count(state, "BN.#.0.weight"),
        settings.get("num_repeat", count(state, "separator.#.time_net.norm.weight")),
    )
    heads = count(state, "separator.0.attn_block.attn_conv_Q_#.0.weight")
    tac = count(state, "separator.0.tac_module.transform.#.weight")  # 1: tanh, 2: PReLU
    expected = set(_keys(bands, repeats, len(targets), heads, tac))
    check_keys(state.keys(), expected, checkpoint.file)
    hparams = {
        "targets": targets,
        "bands_bins": [state[f"BN.{k}.0.weight"].shape[0] // 2 for k in range(bands)],
        "featurizer": {
            "n_fft": settings.get("n_fft", 2048),
            "hop_samples": settings.get("n_hop", 512),
            "sample_rate_hz": settings.get("sample_rate", 44100),
        },
        "model": _model(state, settings, repeats, heads, tac),
        "audio_params": _audio_params(settings.get("cfg_eval") or {}),
    }
    table = BandTable(hparams["bands_bins"])
    return SavedNetwork(
        hparams, {f"bandsplitrnn.{k}": v for k, v in _weights(state, table, repeats, len(targets), heads)}
    )


def _keys(bands: int, repeats: int, targets: int, heads: int, tac: int) -> Iterator[str]:
    """Every key that such a network has."""
    kinds = ("weight", "bias")
    for k in range(bands):
        yield from (f"BN.{k}.{i}.{kind}" for i in (0, 1) for kind in kinds)
        yield from (f"maskers.{s}.mask.{k}.{i}.{kind}" for s in range(targets) for i in (0, 1, 3, 5) for kind in kinds)
    for r in range(repeats):
        for block in _BLOCKS.values():
            yield from block_keys(f"separator.{r}.{block}", _BLOCK_NAMES)
        if tac:
            yield from (f"separator.{r}.tac_module.{layer}.0.{kind}" for layer in _TAC for kind in kinds)
        if tac > 1:
            yield from (f"separator.{r}.tac_module.{layer}.1.weight" for layer in _TAC)
        projections = [f"{name}_{h}" for name in _PROJECTIONS.values() for h in range(heads)]
        for projection in [*projections, "attn_concat_proj"] if heads else []:
            parts = ("0.weight", "0.bias", "1.weight", "2.gamma", "2.beta")
            yield from (f"separator.{r}.attn_block.{projection}.{part}" for part in parts)


def _model(state: State, settings: Mapping[str, Any], repeats: int, heads: int, tac: int) -> dict[str, Any]:
    features = state["BN.0.1.weight"].shape[0]
    hidden = state["separator.0.time_net.main_layer.weight_hh_l0"]
    model: dict[str, Any] = {
        "features": features,
        "repeats": repeats,
        "rnn": rnn_kind(hidden),
        "rnn_factor": hidden.shape[1] // features,
        "mask": {"hidden_factor": state["maskers.0.mask.0.1.weight"].shape[0] // features, "hidden_layers": 2},
        "norm_eps": settings.get("eps", 1e-7),
    }
    if tac:
        factor = state["separator.0.tac_module.transform.0.weight"].shape[0] // features
        model["tac"] = {"factor": factor, "activation": "prelu" if tac > 1 else "tanh"}
    if heads:
        width = state["separator.0.attn_block.attn_conv_Q_0.0.weight"].shape[0]
        model["attention"] = {"heads": heads, "width": width}
    return model


def _audio_params(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """The windows of its own evaluation: ``segment_len`` seconds, faded into each other over a part of that."""
    segment_seconds, overlap = evaluation.get("segment_len") or 10, evaluation.get("overlap") or 0.1
    if segment_seconds <= 0:  # the whole song at once there
        segment_seconds = 10
    return {"window_seconds": segment_seconds * (1 + overlap), "hop_seconds": segment_seconds, "batch_size": 1}


def _weights(state: State, table: BandTable, repeats: int, targets: int, heads: int) -> Iterator[tuple[str, Tensor]]:
    yield from _split(state, table)
    for r in range(repeats):
        source, target = f"separator.{r}", f"sequence.{r}"
        for ours, theirs in _BLOCKS.items():
            yield from residual_rnn(state, f"{source}.{theirs}", _BLOCK_NAMES, f"{target}.{ours}")
        for layer in _TAC if f"{source}.tac_module.transform.0.weight" in state else ():
            for kind in ("weight", "bias"):
                yield f"{target}.tac.{layer}.{kind}", state[f"{source}.tac_module.{layer}.0.{kind}"]
        if f"{source}.tac_module.transform.1.weight" in state:  # one slope, shared by the three
            yield f"{target}.tac.activation.weight", state[f"{source}.tac_module.transform.1.weight"]
        for ours, theirs in _PROJECTIONS.items() if heads else ():
            names = [f"{source}.attn_block.{theirs}_{h}" for h in range(heads)]
            yield from _projection(state, names, f"{target}.attention.{ours}")
        if heads:
            yield from _projection(state, [f"{source}.attn_block.attn_concat_proj"], f"{target}.attention.out")
    for s in range(targets):
        yield from _mask(state, f"maskers.{s}.mask", table, f"mask.estimators.{s}")


def _split(state: State, table: BandTable) -> Iterator[tuple[str, Tensor]]:
    bands = range(len(table.widths))
    parts = {
        "norm_weight": [bin_major(state[f"BN.{k}.0.weight"], 2) for k in bands],
        "norm_bias": [bin_major(state[f"BN.{k}.0.bias"], 2) for k in bands],
        "linear.weight": [bin_major(state[f"BN.{k}.1.weight"].squeeze(2), 2) for k in bands],
        "linear.bias": [state[f"BN.{k}.1.bias"] for k in bands],
    }
    for name, per_band in parts.items():
        yield from ((f"split.projections.{g}.{name}", stacked) for g, stacked in by_group(table, per_band))


def _projection(state: State, heads: list[str], target: str) -> Iterator[tuple[str, Tensor]]:
    yield f"{target}.linear.weight", torch.cat([state[f"{head}.0.weight"].flatten(1) for head in heads])
    yield f"{target}.linear.bias", torch.cat([state[f"{head}.0.bias"] for head in heads])
    yield f"{target}.slope", torch.stack([state[f"{head}.1.weight"] for head in heads])
    for ours, theirs in (("norm_weight", "gamma"), ("norm_bias", "beta")):  # (1, width, 1, K) → (K, heads, width)
        yield f"{target}.{ours}", torch.stack([state[f"{head}.2.{theirs}"][0, :, 0].T for head in heads], dim=1)


def _mask(state: State, source: str, table: BandTable, target: str) -> Iterator[tuple[str, Tensor]]:
    bands = range(len(table.widths))

    def each(layer: int, kind: str) -> list[Tensor]:
        return [state[f"{source}.{k}.{layer}.{kind}"] for k in bands]

    for kind in ("weight", "bias"):
        yield f"{target}.first.norm_{kind}", torch.stack(each(0, kind))
        for ours, layer in (("first.linear", 1), ("hidden.0", 3)):
            stacked = torch.stack(each(layer, kind))
            yield f"{target}.{ours}.{kind}", stacked.squeeze(3) if kind == "weight" else stacked
        outputs = [bin_major(x.unflatten(0, (2, -1)), 2, dim=1).flatten(0, 1) for x in each(5, kind)]
        outputs = [x.squeeze(2) if kind == "weight" else x for x in outputs]
        yield from ((f"{target}.outputs.{g}.{kind}", stacked) for g, stacked in by_group(table, outputs))
