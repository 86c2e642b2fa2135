"""The sizes of a RoFormer, from its weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from demixer.errors import UserError
from demixer.model.layouts.translate import State, count, numbers, shape_of, times

_NOT_SUPPORTED = {  # part of a key → what has it
    "dynamic_alpha_scale": "hyper-connections of an older kind",
    "dynamic_beta_scale": "hyper-connections of an older kind",
    "lora_": "LoRA adapters that are not merged",
}
_MIXES = {"to_value_residual_mix": ("lerp", False), "learned_value_residual_mix.0": ("swapped", True)}


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
        attention: arguments of :class:`demixer.model.modules.attention.TransformerConfig`.
        hidden: width of the feed-forward layers.
        mask_layers: hidden layers of the masks.
        mask_factor: their width over N.
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
    mask_factor: int

    def model(self) -> dict[str, Any]:
        """Arguments of :class:`demixer.model.roformer.RoFormer`."""
        return {
            "architecture": "mel_band_roformer" if self.mel else "bs_roformer",
            **({"mel_bands": len(self.band_values)} if self.mel else {}),
            "features": self.features,
            "repeats": self.repeats,
            "time_depth": self.depths["time"],
            "band_depth": self.depths["band"],
            "linear_depth": self.depths.get("linear", 0),
            **self.attention,
            "feed_forward_factor": self.hidden / self.features,
            "dropout": 0.0,
            "mask": {"hidden_factor": self.mask_factor, "hidden_layers": self.mask_layers},
        }

    def named(self) -> dict[str, Any]:
        """By the names of their YAML."""
        own = {"num_bands": len(self.band_values), "linear_transformer_depth": self.depths.get("linear", 0)}
        if self.repeats > 1:  # the first module mixes with no earlier one
            own["add_value_residual"] = self.attention["value_residuals"] != "none"
        return {
            "dim": self.features,
            "depth": self.repeats,
            "num_stems": self.stems,
            "heads": self.attention["heads"],
            "dim_head": self.attention["head_width"],
            "time_transformer_depth": self.depths["time"],
            "freq_transformer_depth": self.depths["band"],
            "num_residual_streams": self.attention["streams"],
            "num_residual_fracs": self.attention["fractions"],
            "use_pope": self.attention["positions"] == "pope",
            **({"mlp_expansion_factor": self.mask_factor} if self.mask_layers else {}),
            **(own if self.mel else {}),
        }

    def describe(self) -> str:
        kind = "Mel-Band RoFormer" if self.mel else "BS-RoFormer"
        return (
            f"{kind} of {self.stems} stem(s), {len(self.band_values)} bands, dim {self.features}, depth {self.repeats}"
        )


def read_sizes(state: State, file: Path) -> Sizes:
    """The sizes of a network, from its weights.

    Raises:
        UserError: they are of an option that this project has not, or incomplete.
    """
    for mark, what in _NOT_SUPPORTED.items():
        if found := next((key for key in state if mark in key), None):
            raise UserError(f"the weights `{file}` have {what} (`{found}`), which are not supported")
    try:
        return _sizes(state)
    except UserError as error:
        raise UserError(f"the weights `{file}` are no whole RoFormer: {error}") from error


def _sizes(state: State) -> Sizes:
    places = numbers(state, "layers.0.#.layers.0.1.net.1.weight")
    blocks = dict(zip(("band", "time", "linear"), reversed(places), strict=False))
    if len(blocks) < 2:
        raise UserError("their first module has no transformers along time and across bands")
    layer, mel = f"layers.0.{blocks['time']}.layers.0", "final_norm.gamma" not in state
    features = shape_of(state, f"{layer}.0.norm.gamma", 1)[0]
    mask_layers = len(numbers(state, "mask_estimators.0.to_freqs.0.0.#.weight")) - 1  # a tanh behind each but the last
    mask_width = shape_of(state, "mask_estimators.0.to_freqs.0.0.0.weight", 2)[0]
    bands = count(state, "band_split.to_features.#.0.gamma")
    return Sizes(
        mel=mel,
        band_values=[shape_of(state, f"band_split.to_features.{k}.0.gamma", 1)[0] for k in range(bands)],
        stems=count(state, "mask_estimators.#.to_freqs.0.0.0.weight"),
        blocks=blocks,
        depths={name: count(state, f"layers.0.{j}.layers.#.1.net.1.weight") for name, j in blocks.items()},
        features=features,
        repeats=count(state, f"layers.#.{blocks['time']}.layers.0.1.net.1.weight"),
        attention=_attention(state, layer, mel),
        hidden=shape_of(state, f"{layer}.1.net.1.weight", 2)[0],
        mask_layers=mask_layers,
        mask_factor=mask_width // features if mask_layers else 1,
    )


def _attention(state: State, layer: str, mel: bool) -> dict[str, Any]:
    heads = shape_of(state, f"{layer}.0.to_gates.weight", 2)[0]
    width = times(state, f"{layer}.0.to_qkv.weight", 2, 3 * heads)
    if width % 2:
        raise UserError(f"{layer}.0.to_qkv.weight has {width} features for each of {heads} heads, which is odd")
    streams, fractions = 1, 1
    if f"{layer}.0.connection.static_alpha" in state:
        rows, columns = shape_of(state, f"{layer}.0.connection.static_alpha", 2)
        fractions = max(1, columns - rows)
        streams = rows // fractions
    mixes = {how for mark, how in _MIXES.items() if any(mark in key for key in state)}
    if mixes - {("swapped", True) if mel else ("lerp", False)}:
        raise UserError("their value residuals are of another version, which is not supported")
    return {
        "heads": heads,
        "head_width": width,
        "biases": f"{layer}.0.to_qkv.bias" in state,
        "positions": "pope" if f"{layer}.0.pope_embed.bias" in state else "rotary",
        "value_residuals": next(iter(mixes))[0] if mixes else "none",
        "streams": streams,
        "fractions": fractions,
    }
