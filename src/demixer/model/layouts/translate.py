"""What the translations share: bands by group, values by bin, and the recurrent blocks."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.model.modules.bands import BandTable

State = Mapping[str, Tensor]
RNN_KEYS = [
    f"{kind}_{part}_l0{way}" for kind in ("weight", "bias") for part in ("ih", "hh") for way in ("", "_reverse")
]


def count(state: State, pattern: str) -> int:
    """One more than the highest index that takes the place of ``#`` in a key; 0 where no key fits.

    >>> count({"BN.0.0.weight": 0, "BN.7.0.weight": 0}, "BN.#.0.weight")
    8
    """
    shape = re.compile(r"(\d+)".join(map(re.escape, pattern.split("#"))))
    return max((int(match[1]) + 1 for key in state if (match := shape.fullmatch(key))), default=0)


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


def rnn_kind(hidden_weight: Tensor) -> str:
    """An LSTM has four gates, a GRU three: (gates · hidden, hidden)."""
    return {4: "lstm", 3: "gru"}[hidden_weight.shape[0] // hidden_weight.shape[1]]


def residual_rnn(state: State, source: str, names: tuple[str, str, str], target: str) -> Iterator[tuple[str, Tensor]]:
    """Rename a block; ``names`` are what the source calls its normalisation, its RNN and its linear layer."""
    norm, rnn, linear = names
    for kind in ("weight", "bias"):
        yield f"{target}.norm.{kind}", state[f"{source}.{norm}.{kind}"]
        yield f"{target}.fc.{kind}", state[f"{source}.{linear}.{kind}"]
    for key in RNN_KEYS:
        yield f"{target}.rnn.{key}", state[f"{source}.{rnn}.{key}"]


def block_keys(source: str, names: tuple[str, str, str]) -> Iterator[str]:
    """The keys that :func:`residual_rnn` reads."""
    norm, rnn, linear = names
    yield from (f"{source}.{part}.{kind}" for part in (norm, linear) for kind in ("weight", "bias"))
    yield from (f"{source}.{rnn}.{key}" for key in RNN_KEYS)


def refuse(settings: Mapping[str, Any], supported: Mapping[str, Iterable[Any]], where: str) -> None:
    """Refuse settings of which this project has no counterpart.

    Raises:
        UserError: it names the setting and its value.
    """
    for name, values in supported.items():
        values = list(values)
        if name in settings and settings[name] not in values:
            raise UserError(f"{where} has `{name}` (={settings[name]!r}), which is not supported: only {values}")
