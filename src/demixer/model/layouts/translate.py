"""What the translations share: bands by group, values by bin, and the recurrent blocks."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from demixer.checkpoints.settings import Settings
from demixer.errors import UserError
from demixer.model.modules.bands import BandTable

State = Mapping[str, Tensor]
Shape = tuple[int, ...]
RNN_KEYS = [
    f"{kind}_{part}_l0{way}" for kind in ("weight", "bias") for part in ("ih", "hh") for way in ("", "_reverse")
]


def count(state: State, pattern: str) -> int:
    """How many keys fit a pattern in which ``#`` stands for 0, 1, 2 …; 0 where no key does.

    Raises:
        UserError: a number is left out, so that what comes after it belongs nowhere.

    >>> count({"BN.0.0.weight": 0, "BN.1.0.weight": 0}, "BN.#.0.weight")
    2
    """
    found = numbers(state, pattern)
    if found != list(range(len(found))):
        missing = next(number for number in range(len(found)) if number not in found)
        raise UserError(f"the weights lack {pattern.replace('#', str(missing))}, and have {found[-1]}")
    return len(found)


def numbers(state: State, pattern: str) -> list[int]:
    """The numbers, sorted, that stand for ``#`` of a pattern in keys.

    >>> numbers({"net.0.weight": 0, "net.2.weight": 0}, "net.#.weight")
    [0, 2]
    """
    shape = re.compile(r"(\d{1,9})".join(map(re.escape, pattern.split("#"))))
    return sorted({int(match[1]) for key in state if (match := shape.fullmatch(key))})


def shape_of(state: State, key: str, axes: int) -> tuple[int, ...]:
    """The shape of a tensor from which the sizes of others follow.

    Raises:
        UserError: it is missing, has another number of axes, or is empty.
    """
    if key not in state:
        raise UserError(f"the weights lack {key}")
    shape = tuple(state[key].shape)
    if len(shape) != axes or 0 in shape:
        raise UserError(f"{key} has the shape {shape}, and should have {axes} axes with something in them")
    return shape


def times(state: State, key: str, axes: int, features: int) -> int:
    """How many times the features the first axis of a tensor is long.

    Raises:
        UserError: that is no whole number.
    """
    size = shape_of(state, key, axes)[0]
    if size % features:
        raise UserError(f"{key} is {size} long, which is no multiple of the {features} features")
    return size // features


def widths_of(state: State, pattern: str, axes: int, values_per_bin: int) -> list[int]:
    """Each band's width in bins, from a tensor per band that is as long as the band has values.

    Raises:
        UserError: one has no whole number of bins.
    """
    keys = [pattern.replace("#", str(band)) for band in range(count(state, pattern))]
    return [times(state, key, axes, values_per_bin) for key in keys]


def bin_major(x: Tensor, values_per_bin: int, dim: int = -1) -> Tensor:
    """Along ``dim``: (…, P, width) → (…, width, P), both flat.

    >>> bin_major(torch.tensor([1, 2, 3, -1, -2, -3]), values_per_bin=2)
    tensor([ 1, -1,  2, -2,  3, -3])
    """
    x = x.movedim(dim, -1)
    return x.unflatten(-1, (values_per_bin, -1)).transpose(-1, -2).flatten(-2).movedim(-1, dim)


def by_group(table: BandTable, per_band: Sequence[Tensor]) -> Iterator[tuple[int, Tensor]]:
    """One tensor per band → (number of the group, (G, …))."""
    for i, group in enumerate(table.groups):
        yield i, torch.stack([per_band[band] for band in group.bands])


def rnn_of(state: State, key: str, features: int) -> tuple[str, int]:
    """Which RNN a hidden weight (gates · hidden, hidden) is of, and its hidden size over the features.

    Raises:
        UserError: it has neither the four gates of an LSTM nor the three of a GRU, or the size is no whole multiple.
    """
    rows, hidden = shape_of(state, key, 2)
    kind = {4 * hidden: "lstm", 3 * hidden: "gru"}.get(rows)
    if kind is None or hidden % features:
        raise UserError(f"{key} has the shape {(rows, hidden)}, of no LSTM or GRU over {features} features")
    return kind, hidden // features


def residual_rnn(state: State, source: str, names: tuple[str, str, str], target: str) -> Iterator[tuple[str, Tensor]]:
    """Rename a block; ``names`` are what the source calls its normalisation, its RNN and its linear layer."""
    norm, rnn, linear = names
    for kind in ("weight", "bias"):
        yield f"{target}.norm.{kind}", state[f"{source}.{norm}.{kind}"]
        yield f"{target}.fc.{kind}", state[f"{source}.{linear}.{kind}"]
    for key in RNN_KEYS:
        yield f"{target}.rnn.{key}", state[f"{source}.{rnn}.{key}"]


def block_shapes(
    source: str, names: tuple[str, str, str], features: int, rnn: str, factor: int
) -> Iterator[tuple[str, Shape]]:
    """The keys that :func:`residual_rnn` reads, and their shapes."""
    norm, main, linear = names
    hidden, gates = factor * features, 4 if rnn == "lstm" else 3
    yield from ((f"{source}.{norm}.{kind}", (features,)) for kind in ("weight", "bias"))
    yield f"{source}.{linear}.weight", (features, 2 * hidden)
    yield f"{source}.{linear}.bias", (features,)
    inner = {"weight_ih": (gates * hidden, features), "weight_hh": (gates * hidden, hidden)}
    for key in RNN_KEYS:
        yield f"{source}.{main}.{key}", inner.get(key[:9], (gates * hidden,))


def refuse(settings: Settings, supported: Mapping[str, Collection[Any]]) -> None:
    """Refuse settings of which this project has no counterpart.

    Raises:
        UserError: it names the setting and its value.
    """
    for name, values in supported.items():
        if name in settings.values and settings.values[name] not in list(values):
            raise settings.refuse(name, f"is not supported: only {', '.join(map(str, values))}")
