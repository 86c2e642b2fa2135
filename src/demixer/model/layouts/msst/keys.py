"""The keys of these RoFormers: what each is called here, and its shape."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from demixer.model.layouts.msst.sizes import Sizes
from demixer.model.layouts.translate import Shape

_WRAPPERS = ("module.", "_orig_mod.", "model.")  # of data parallel, compiled and Lightning modules
_SHARED = {"shared_qkv_bias": "to_qkv.bias", "shared_out_bias": "to_out.0.bias"}
_LAYER = re.compile(r"(layers\.\d+\.\d+\.layers\.\d+\.[01])\.(.+)")
Table = dict[str, tuple[str, Shape]]


def plain_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """The state dict without the prefixes of wrappers around the network or its layers, and shared biases as each's."""
    plain = {}
    for key, value in state.items():
        while wrapper := next((w for w in _WRAPPERS if key.startswith(w)), None):
            key = key.removeprefix(wrapper)
        plain[key] = value
    connected = {key.removesuffix(".static_beta") for key in plain if key.endswith(".static_beta")}
    plain = {_in_its_place(key, connected): value for key, value in plain.items()}
    for shared, place in _SHARED.items():
        if shared in plain:
            bias, weight = plain.pop(shared), place.replace(".bias", ".weight")
            plain |= {key.replace(".weight", ".bias"): bias for key in plain if key.endswith(weight)}
    return plain


def _in_its_place(key: str, connected: set[str]) -> str:
    """A layer's parameters without the residual connection around it, and that one's under a name of its own."""
    if ".branch." in key:
        return key.replace(".branch.", ".")
    match = _LAYER.fullmatch(key)
    return f"{match[1]}.connection.{match[2]}" if match and match[1] in connected else key


def is_frequencies(key: str) -> bool:
    """Whether it is a position embedding's frequencies, which are always the same, and which some files leave out."""
    return key.endswith((".rotary_embed.freqs", ".pope_embed.inv_freqs"))


def transformer_keys(sizes: Sizes) -> Iterator[tuple[str, str, Shape]]:
    """Every key of the transformers and the last normalisation: there, here, and the shape there."""
    norm = (sizes.features,)
    for r in range(sizes.repeats):
        for name, j in sizes.blocks.items():
            theirs, ours = f"layers.{r}.{j}", f"sequence.{r}.{name}"
            tables = (_attention(sizes, name == "linear", mixes=r > 0), _feed_forward(sizes))
            for layer in range(2 * sizes.depths[name]):
                depth, kind = divmod(layer, 2)
                for key, (own, shape) in tables[kind].items():
                    yield f"{theirs}.layers.{depth}.{kind}.{key}", f"{ours}.layers.{layer}.{own}", shape
                for key, (own, shape) in _connection(sizes).items():
                    place = f"{theirs}.layers.{depth}.{kind}.connection.{key}"
                    yield place, f"{ours}.connections.{layer}.{own}", shape
            if sizes.mel:
                yield f"{theirs}.norm.gamma", f"{ours}.norm.weight", norm
    if not sizes.mel:
        yield "final_norm.gamma", "mask.normalise.weight", norm


def shapes(sizes: Sizes) -> Iterator[tuple[str, Shape]]:
    """Every key that such a network has, and the shape of its tensor."""
    yield from ((theirs, shape) for theirs, _, shape in transformer_keys(sizes))
    n, hidden = sizes.features, sizes.mask_factor * sizes.features
    for k, values in enumerate(sizes.band_values):
        yield f"band_split.to_features.{k}.0.gamma", (values,)
        yield from _linear(f"band_split.to_features.{k}.1", n, values)
        widths = [n, *[hidden] * sizes.mask_layers, 2 * values]
        for s in range(sizes.stems):
            for i in range(sizes.mask_layers + 1):
                yield from _linear(f"mask_estimators.{s}.to_freqs.{k}.0.{2 * i}", widths[i + 1], widths[i])


def _linear(key: str, outputs: int, inputs: int) -> Iterator[tuple[str, Shape]]:
    yield f"{key}.weight", (outputs, inputs)
    yield f"{key}.bias", (outputs,)


def _attention(sizes: Sizes, linear: bool, mixes: bool) -> Table:
    n, heads, width = sizes.features, sizes.attention["heads"], sizes.attention["head_width"]
    inner, qkv, out = heads * width, "to_qkv.0" if linear else "to_qkv", "to_out.1" if linear else "to_out.0"
    table: Table = {"norm.gamma": ("norm.weight", (n,)), f"{qkv}.weight": ("qkv.weight", (3 * inner, n))}
    table[f"{out}.weight"] = ("out.weight", (n, inner))
    if linear:
        table["temperature"] = ("temperature", (heads, 1, 1))
    else:
        table |= {"to_gates.weight": ("gate.weight", (heads, n)), "to_gates.bias": ("gate.bias", (heads,))}
    if sizes.attention["biases"] and not linear:
        table |= {"to_qkv.bias": ("qkv.bias", (3 * inner,)), "to_out.0.bias": ("out.bias", (n,))}
    if sizes.attention["positions"] == "pope" and not linear:
        table["pope_embed.bias"] = ("positions.offsets", (heads, width))
    if mixes and sizes.attention["value_residuals"] != "none":
        mix = "learned_value_residual_mix.0" if sizes.mel else "to_value_residual_mix"
        table |= {f"{mix}.weight": ("mix.weight", (heads, n)), f"{mix}.bias": ("mix.bias", (heads,))}
    return table


def _feed_forward(sizes: Sizes) -> Table:
    n, hidden = sizes.features, sizes.hidden
    return {
        "net.0.gamma": ("norm.weight", (n,)),
        "net.1.weight": ("first.weight", (hidden, n)),
        "net.1.bias": ("first.bias", (hidden,)),
        "net.4.weight": ("second.weight", (n, hidden)),
        "net.4.bias": ("second.bias", (n,)),
    }


def _connection(sizes: Sizes) -> Table:
    streams, fractions = sizes.attention["streams"], sizes.attention["fractions"]
    rows, width = streams * fractions, sizes.features // fractions
    if rows == 1:
        return {}
    return {
        "norm.gamma": ("norm.weight", (width,)),
        "static_alpha": ("mix", (rows, fractions + rows)),
        "dynamic_alpha_fn": ("mix_weight", (1, width, fractions + rows)),
        "pre_branch_scale": ("heard_scale", (1,)),
        "residual_scale": ("kept_scale", (1,)),
        "static_beta": ("add", (rows,)),
        "dynamic_beta_fn": ("add_weight", (width, fractions) if fractions > 1 else (width,)),
        "h_post_scale": ("add_scale", ()),
    }
