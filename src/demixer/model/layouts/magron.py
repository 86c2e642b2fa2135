"""github.com/magronp/bsrnn (Zenodo record 17516442): BSRNN, oBSRNN and oBSRNN-SIMO as Lightning checkpoints.

Targets, sample rate and transform come from the checkpoint's ``hyper_parameters``, all sizes and the bands from its
weights. A band's values lie (real|imaginary, bins) there, and a mask's (value|gate, real|imaginary, bins); both become
bin-major. The heads of the attention, stored one by one, are stacked.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from demixer.checkpoints.fitting import check_shapes
from demixer.checkpoints.settings import Settings
from demixer.errors import UserError
from demixer.model.arguments import RATES_HZ
from demixer.model.layouts.magron_sizes import BLOCK_NAMES, BLOCKS, shapes, sizes_of
from demixer.model.layouts.saved import Checkpoint, SavedNetwork
from demixer.model.layouts.translate import State, bin_major, by_group, refuse, residual_rnn
from demixer.model.modules.bands import BandTable
from demixer.model.modules.spectrogram import LARGEST_N_FFT

NAME = "magronp/bsrnn (.ckpt)"
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
    settings = Settings(checkpoint.content.get("hyper_parameters") or {}, f"`{checkpoint.file}`", "hyper_parameters.")
    refuse(settings, _SUPPORTED)
    state = {
        f"maskers.0.{key}" if key.startswith("mask.") else key: value  # files from before there were several maskers
        for key, value in checkpoint.state_dict.items()
        if not key.startswith(("stft.", "istft."))
    }
    targets = settings.values.get("targets", settings.values.get("target"))
    if not targets:
        raise UserError(f"`{checkpoint.file}` does not say what it estimates: `hyper_parameters` lack `targets`")
    targets = targets if isinstance(targets, list) else [targets]
    sizes = sizes_of(state, settings, len(targets))
    check_shapes(state, shapes(sizes), checkpoint.file)
    hparams = {
        "targets": targets,
        "bands_bins": list(sizes.widths),
        "featurizer": {
            "n_fft": settings.whole("n_fft", 2, LARGEST_N_FFT, 2048),
            "hop_samples": settings.whole("n_hop", 1, LARGEST_N_FFT, 512),
            "sample_rate_hz": settings.whole("sample_rate", *RATES_HZ, 44100),
        },
        "model": sizes.model() | {"norm_eps": settings.number("eps", 1e-20, 1, 1e-7)},
        "audio_params": _audio_params(settings.section("cfg_eval")),
    }
    weights = _weights(state, BandTable(sizes.widths), sizes.repeats, sizes.targets, sizes.heads)
    return SavedNetwork(hparams, {f"bandsplitrnn.{key}": value for key, value in weights})


def _audio_params(evaluation: Settings) -> dict[str, Any]:
    """The windows of its own evaluation: ``segment_len`` seconds, faded into each other over a part of that."""
    given = Settings(
        {name: value or None for name, value in evaluation.values.items()}, evaluation.where, evaluation.path
    )
    segment_seconds, overlap = given.number("segment_len", -1, 600, 10), given.number("overlap", 0, 1, 0.1)
    if segment_seconds <= 0:  # the whole song at once there
        segment_seconds = 10
    return {"window_seconds": segment_seconds * (1 + overlap), "hop_seconds": segment_seconds, "batch_size": 1}


def _weights(state: State, table: BandTable, repeats: int, targets: int, heads: int) -> Iterator[tuple[str, Tensor]]:
    yield from _split(state, table)
    for r in range(repeats):
        source, target = f"separator.{r}", f"sequence.{r}"
        for ours, theirs in BLOCKS.items():
            yield from residual_rnn(state, f"{source}.{theirs}", BLOCK_NAMES, f"{target}.{ours}")
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
