"""The weights of Music-Source-Separation-Training's RoFormers: their sizes, their keys, and the same in ours.

A band's values lie (bins, channels, real|imaginary) there as here. The pairs that the rotary embedding turns are
neighbours there and halves here: the queries' and keys' rows are put into another order once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from demixer.errors import UserError, one_line
from demixer.model.layouts.translate import State, by_group, count, numbers
from demixer.model.modules.bands import BandTable
from demixer.model.modules.rotary import rotary_frequencies

_WRAPPERS = ("module.", "_orig_mod.", "model.")  # of data parallel, compiled and Lightning modules
_NEWER = {
    "to_value_residual_mix": "value residuals",
    "learned_value_residual_mix": "value residuals",
    "static_alpha": "hyper-connections",
    "static_beta": "hyper-connections",
    "dynamic_alpha": "hyper-connections",
    "pope": "PoPE, another position embedding",
    "lora_": "LoRA adapters that are not merged",
}
_SHARED = {"shared_qkv_bias": "to_qkv.bias", "shared_out_bias": "to_out.0.bias"}
_FEED_FORWARD = {
    "1.net.0.gamma": "norm.weight",
    **{
        f"1.net.{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in ((1, "first"), (4, "second"))
        for kind in ("weight", "bias")
    },
}
_ATTENTION = {
    "0.norm.gamma": "norm.weight",
    "0.to_qkv.weight": "qkv.weight",
    "0.to_gates.weight": "gate.weight",
    "0.to_gates.bias": "gate.bias",
    "0.to_out.0.weight": "out.weight",
}
_BIASES = {"0.to_qkv.bias": "qkv.bias", "0.to_out.0.bias": "out.bias"}
_LINEAR = {
    "0.norm.gamma": "norm.weight",
    "0.to_qkv.0.weight": "qkv.weight",
    "0.temperature": "temperature",
    "0.to_out.1.weight": "out.weight",
}


@dataclass(frozen=True)
class Sizes:
    """What the weights say of their network.

    Args:
        mel: whether its bands overlap, and each transformer normalises its output.
        band_values: values of each band: 2 · channels · width.
        stems: S.
        blocks: of each of the R modules' transformers: our name → their number; its depth is in ``depths``.
        depths: layers by our name of the transformer.
        features: N.
        repeats: R.
        attention: heads, head_width and biases.
        hidden: width of the feed-forward layers.
        mask_layers: hidden layers of the masks.
        mask_hidden: their width.
    """

    mel: bool
    band_values: list[int]
    stems: int
    blocks: dict[str, int]
    depths: dict[str, int]
    features: int
    repeats: int
    attention: dict[str, Any]
    hidden: int
    mask_layers: int
    mask_hidden: int

    def model(self) -> dict[str, Any]:
        """Arguments of :class:`demixer.model.roformer.RoFormer`."""
        return {
            "architecture": "mel_band_roformer" if self.mel else "bs_roformer",
            "features": self.features,
            "repeats": self.repeats,
            "time_depth": self.depths["time"],
            "band_depth": self.depths["band"],
            "linear_depth": self.depths.get("linear", 0),
            **self.attention,
            "feed_forward_factor": self.hidden / self.features,
            "dropout": 0.0,
            "mask": {
                "hidden_factor": self.mask_hidden // self.features if self.mask_layers else 1,
                "hidden_layers": self.mask_layers,
            },
        }

    def named(self) -> dict[str, Any]:
        """By the names of their YAML."""
        return {
            "dim": self.features,
            "depth": self.repeats,
            "num_stems": self.stems,
            "heads": self.attention["heads"],
            "dim_head": self.attention["head_width"],
            **({"num_bands": len(self.band_values)} if self.mel else {}),
        }

    def describe(self) -> str:
        kind = "Mel-Band RoFormer" if self.mel else "BS-RoFormer"
        return (
            f"{kind} of {self.stems} stem(s), {len(self.band_values)} bands, dim {self.features}, depth {self.repeats}"
        )


def plain_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict without the prefixes of wrappers around the network or its layers."""
    plain = {}
    for key, value in state.items():
        name = str(key)
        while wrapper := next((w for w in _WRAPPERS if name.startswith(w)), None):
            name = name.removeprefix(wrapper)
        plain[name.replace(".branch.", ".")] = value  # of residual connections in the package
    for shared, place in _SHARED.items():
        bias = plain.pop(shared, None)
        for key in (
            [key for key in plain if key.endswith(place.replace(".bias", ".weight"))] if bias is not None else ()
        ):
            plain.setdefault(key.replace(".weight", ".bias"), bias)
    return plain


def read_sizes(state: State, file: Path) -> Sizes:
    """The sizes of a network, from its weights.

    Raises:
        UserError: they are of an option that this project has not, or incomplete.
    """
    for mark, what in _NEWER.items():
        if found := next((key for key in state if mark in key), None):
            raise UserError(f"the weights `{file}` have {what} (`{found}`), which are not supported")
    try:
        return _sizes(state)
    except (KeyError, IndexError, ValueError, ZeroDivisionError) as error:
        raise UserError(f"the weights `{file}` are no whole RoFormer: {one_line(error)}") from error


def _sizes(state: State) -> Sizes:
    places = numbers(state, "layers.0.#.layers.0.1.net.1.weight")
    blocks = dict(zip(("band", "time", "linear"), reversed(places), strict=False))
    layer = f"layers.0.{blocks['time']}.layers.0"
    bands = count(state, "band_split.to_features.#.0.gamma")
    mask_layers = numbers(state, "mask_estimators.0.to_freqs.0.0.#.weight")[-1] // 2  # a tanh behind each but the last
    heads = state[f"{layer}.0.to_gates.weight"].shape[0]
    inner, features = state[f"{layer}.0.to_qkv.weight"].shape
    return Sizes(
        mel="final_norm.gamma" not in state,
        band_values=[state[f"band_split.to_features.{k}.0.gamma"].shape[0] for k in range(bands)],
        stems=count(state, "mask_estimators.#.to_freqs.0.0.0.weight"),
        blocks=blocks,
        depths={name: count(state, f"layers.0.{j}.layers.#.1.net.1.weight") for name, j in blocks.items()},
        features=features,
        repeats=count(state, f"layers.#.{blocks['time']}.layers.0.1.net.1.weight"),
        attention={"heads": heads, "head_width": inner // 3 // heads, "biases": f"{layer}.0.to_qkv.bias" in state},
        hidden=state[f"{layer}.1.net.1.weight"].shape[0],
        mask_layers=mask_layers,
        mask_hidden=state["mask_estimators.0.to_freqs.0.0.0.weight"].shape[0],
    )


def _transformers(sizes: Sizes) -> Iterator[tuple[str, str, str]]:
    """Every transformer: its key there, its key here, and our name of its kind."""
    for r in range(sizes.repeats):
        yield from ((f"layers.{r}.{j}", f"sequence.{r}.{name}", name) for name, j in sizes.blocks.items())


def _renamed(sizes: Sizes) -> Iterator[tuple[str, str]]:
    """Every key of the transformers and the last normalisation, there and here."""
    attention = _ATTENTION | (_BIASES if sizes.attention["biases"] else {})
    for theirs, ours, name in _transformers(sizes):
        for d in range(sizes.depths[name]):
            for number, table in enumerate((_LINEAR if name == "linear" else attention, _FEED_FORWARD)):
                for key, own in table.items():
                    yield f"{theirs}.layers.{d}.{key}", f"{ours}.layers.{2 * d + number}.{own}"
        if sizes.mel:
            yield f"{theirs}.norm.gamma", f"{ours}.norm.weight"
    if not sizes.mel:
        yield "final_norm.gamma", "mask.normalise.weight"


def expected_keys(sizes: Sizes, state: State) -> set[str]:
    """Every key that such a network has; the rotary embeddings' are not of use, and some files leave them out."""
    keys = {theirs for theirs, _ in _renamed(sizes)} | {key for key in state if key.endswith("rotary_embed.freqs")}
    kinds = ("weight", "bias")
    for k in range(len(sizes.band_values)):
        keys |= {f"band_split.to_features.{k}.0.gamma"} | {f"band_split.to_features.{k}.1.{kind}" for kind in kinds}
        for s in range(sizes.stems):
            places = range(0, 2 * sizes.mask_layers + 1, 2)
            keys |= {f"mask_estimators.{s}.to_freqs.{k}.0.{i}.{kind}" for i in places for kind in kinds}
    return keys


def translated(state: State, sizes: Sizes, table: BandTable) -> Iterator[tuple[str, Tensor]]:
    """Their weights by our keys."""
    width, usual = sizes.attention["head_width"], rotary_frequencies(sizes.attention["head_width"])
    for key, value in state.items():
        if key.endswith("rotary_embed.freqs") and (value.shape != usual.shape or (value - usual).abs().max() > 1e-2):
            raise UserError(f"the weights have rotary frequencies of their own (`{key}`), which are not supported")
    for theirs, ours in _renamed(sizes):
        rotary = ".qkv." in ours and ".linear." not in ours
        yield f"bandsplitrnn.{ours}", _halves(state[theirs], width) if rotary else state[theirs]
    for ours, value in [*_split(state, table), *_masks(state, sizes, table)]:
        yield f"bandsplitrnn.{ours}", value


def _halves(rows: Tensor, width: int) -> Tensor:
    """(3 · heads · width, …): pairs (0, 1), (2, 3) … of queries and keys become (0, width / 2), (1, width / 2 + 1) …"""
    queries_and_keys, values = rows.split([len(rows) // 3 * 2, len(rows) // 3])
    pairs = queries_and_keys.unflatten(0, (-1, width // 2, 2))
    return torch.cat([pairs.transpose(1, 2).flatten(0, 2), values])


def _split(state: State, table: BandTable) -> Iterator[tuple[str, Tensor]]:
    for ours, theirs in (("norm_weight", "0.gamma"), ("linear.weight", "1.weight"), ("linear.bias", "1.bias")):
        stacks = by_group(table, [state[f"band_split.to_features.{k}.{theirs}"] for k in range(len(table.widths))])
        yield from ((f"split.projections.{g}.{ours}", stacked) for g, stacked in stacks)


def _masks(state: State, sizes: Sizes, table: BandTable) -> Iterator[tuple[str, Tensor]]:
    for s in range(sizes.stems):
        for kind in ("weight", "bias"):
            layers = [
                [state[f"mask_estimators.{s}.to_freqs.{k}.0.{2 * i}.{kind}"] for k in range(len(table.widths))]
                for i in range(sizes.mask_layers + 1)
            ]
            target = f"mask.estimators.{s}"
            for i, per_band in enumerate(layers[:-1]):
                yield f"{target}.{f'hidden.{i - 1}' if i else 'first'}.{kind}", torch.stack(per_band)
            yield from ((f"{target}.outputs.{g}.{kind}", stacked) for g, stacked in by_group(table, layers[-1]))
