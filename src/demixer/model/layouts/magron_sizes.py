"""The sizes of a network of magronp/bsrnn, and by them every key of its checkpoint with its shape."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from demixer.checkpoints.settings import Settings
from demixer.errors import UserError
from demixer.model.arguments import MOST_MODULES
from demixer.model.layouts.translate import Shape, State, block_shapes, count, rnn_of, shape_of, times, widths_of

BLOCKS = {"time": "time_net", "band": "band_net"}
BLOCK_NAMES = ("norm", "main_layer", "proj")


@dataclass(frozen=True)
class Sizes:
    """What the weights tell of their network: numbers of modules, and sizes as multiples of the features."""

    widths: list[int]
    features: int
    repeats: int
    rnn: str
    rnn_factor: int
    mask_factor: int
    targets: int
    tac: int  # 0: none, 1: with tanh, 2: with PReLU
    tac_factor: int
    heads: int
    width: int

    def model(self) -> dict[str, Any]:
        """The arguments of this project's network."""
        model: dict[str, Any] = {name: getattr(self, name) for name in ("features", "repeats", "rnn", "rnn_factor")}
        model["mask"] = {"hidden_factor": self.mask_factor, "hidden_layers": 2}
        if self.tac:
            model["tac"] = {"factor": self.tac_factor, "activation": "prelu" if self.tac > 1 else "tanh"}
        if self.heads:
            model["attention"] = {"heads": self.heads, "width": self.width}
        return model


def sizes_of(state: State, settings: Settings, targets: int) -> Sizes:
    widths = widths_of(state, "BN.#.0.weight", 1, 2)
    features = shape_of(state, "BN.0.1.weight", 3)[0]
    rnn, rnn_factor = rnn_of(state, "separator.0.time_net.main_layer.weight_hh_l0", features)
    heads = count(state, "separator.0.attn_block.attn_conv_Q_#.0.weight")
    if heads and features % heads:
        raise UserError(f"`{settings.where}` has {heads} heads of attention, which do not divide {features} features")
    tac = count(state, "separator.0.tac_module.transform.#.weight")
    repeats = count(state, "separator.#.time_net.norm.weight")
    if settings.whole("num_repeat", 1, MOST_MODULES, repeats) != repeats:
        raise settings.refuse("num_repeat", f"does not go with the weights, which have {repeats}")
    if count(state, "maskers.#.mask.0.0.weight") != targets:
        raise settings.refuse("targets", "does not go with the weights, which have another number of maskers")
    return Sizes(
        *(widths, features, repeats, rnn, rnn_factor),
        mask_factor=times(state, "maskers.0.mask.0.1.weight", 3, features),
        targets=targets,
        tac=tac,
        tac_factor=times(state, "separator.0.tac_module.transform.0.weight", 2, features) if tac else 0,
        heads=heads,
        width=shape_of(state, "separator.0.attn_block.attn_conv_Q_0.0.weight", 4)[0] if heads else 0,
    )


def shapes(sizes: Sizes) -> Iterator[tuple[str, Shape]]:
    """Every key that such a network has, and the shape of its tensor."""
    n = sizes.features
    for k, width in enumerate(sizes.widths):
        yield from ((f"BN.{k}.0.{kind}", (2 * width,)) for kind in ("weight", "bias"))
        yield from _linear(f"BN.{k}.1", n, 2 * width, 1)
        for s in range(sizes.targets):
            yield from _mask_shapes(f"maskers.{s}.mask.{k}", n, sizes.mask_factor * n, 4 * width)
    for r in range(sizes.repeats):
        for block in BLOCKS.values():
            yield from block_shapes(f"separator.{r}.{block}", BLOCK_NAMES, n, sizes.rnn, sizes.rnn_factor)
        hidden = sizes.tac_factor * n
        layers = {"transform": (hidden, n), "average": (hidden, hidden), "concat": (n, 2 * hidden)}
        for layer, shape in layers.items() if sizes.tac else ():
            yield from _linear(f"separator.{r}.tac_module.{layer}.0", *shape)
            if sizes.tac > 1:
                yield f"separator.{r}.tac_module.{layer}.1.weight", (1,)
        outputs = {"Q": sizes.width, "K": sizes.width, "V": n // max(sizes.heads, 1)}
        heads = {f"attn_conv_{name}_{h}": size for name, size in outputs.items() for h in range(sizes.heads)}
        for name, size in {**heads, "attn_concat_proj": n}.items() if sizes.heads else ():
            source = f"separator.{r}.attn_block.{name}"
            yield from _linear(f"{source}.0", size, n, 1, 1)
            yield f"{source}.1.weight", (1,)
            yield from ((f"{source}.2.{kind}", (1, size, 1, len(sizes.widths))) for kind in ("gamma", "beta"))


def _linear(source: str, *shape: int) -> Iterator[tuple[str, Shape]]:
    yield f"{source}.weight", shape
    yield f"{source}.bias", shape[:1]


def _mask_shapes(source: str, features: int, hidden: int, values: int) -> Iterator[tuple[str, Shape]]:
    yield from ((f"{source}.0.{kind}", (features,)) for kind in ("weight", "bias"))
    yield from _linear(f"{source}.1", hidden, features, 1)
    yield from _linear(f"{source}.3", hidden, hidden, 1)
    yield from _linear(f"{source}.5", values, hidden, 1)
