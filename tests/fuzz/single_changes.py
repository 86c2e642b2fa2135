"""Every single change of a checkpoint: each setting and each kind of tensor, changed in each way, one at a time."""

import copy
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tests.fuzz.mutations import ODD_VALUES, places_in

# what a tensor may have become; None: it is gone
TENSOR_CHANGES: dict[str, Callable[[Tensor], Any] | None] = {
    "is gone": None,
    "is None": lambda x: None,
    "is text": lambda x: "\x1b[31mtext",
    "is a list": lambda x: x.tolist(),
    "is a number": lambda x: 3.0,
    "has no values": lambda x: x[:0],
    "has no axes": lambda x: x.flatten()[0].clone(),
    "has an axis less": lambda x: x[0].clone(),
    "has an axis more": lambda x: x.unsqueeze(-1),
    "has an axis in front": lambda x: x.unsqueeze(0),
    "is transposed": lambda x: x.T if x.ndim == 2 else x.flip(0),
    "is longer": lambda x: torch.cat([x, x[:1]]),
    "is twice as long": lambda x: torch.cat([x, x]),
    "is one long": lambda x: x[:1].clone(),
    "is of whole numbers": lambda x: x.long(),
    "is complex": lambda x: torch.complex(x, x),
    "is of booleans": lambda x: x > 0,
    "is half": lambda x: x.half(),
    "is no number": lambda x: torch.full_like(x, torch.nan),
    "is infinite": lambda x: x / 0,
    "stands for far more": lambda x: torch.zeros(1).expand(50_000, 20_000),
    "stands for more of its shape": lambda x: torch.zeros(1).expand(x.shape),
}
FURTHER_KEYS = ("x", "x.weight", "\x1b[31mred", "9" * 5000, "BN.99999999.0.weight", "separator.7.time_net.norm.weight")
FURTHER_KEYS += ("layers.900000000.0.layers.0.0.norm.gamma", "layers.0.1.layers.0.0.static_beta")
FURTHER_KEYS += ("bandsplit.layernorms.900000000.weight", "model.bandsequence.bsrnn.7.0.groupnorm.weight")
CONTENTS: dict[str, Any] = {
    "nothing": {},
    "None": None,
    "a list": [1, 2],
    "a number": 7,
    "text": "\x1b[31mtext",
    "a tensor": torch.zeros(3),
    "a state dict of None": {"state_dict": None},
    "a state dict of a list": {"state_dict": [1]},
    "an empty state dict": {"state_dict": {}},
    "keys that are numbers": {"state_dict": {7: torch.zeros(1)}},
}


@dataclass(frozen=True)
class Published:
    """A checkpoint as it is published.

    Args:
        file: its name.
        content: what is in it.
        hparams: what the settings beside it say, if there are some.
        settings: their file's name.
    """

    file: str
    content: Any
    hparams: Any = None
    settings: str = "hparams.yaml"

    @property
    def state_dict(self) -> dict[str, Tensor]:
        return self.content.get("state_dict", self.content)


def single_changes(good: Published) -> Iterator[tuple[str, Published]]:
    """Each change with its name, always in the same order."""
    for name, content in CONTENTS.items():
        yield f"content: {name}", replace(good, content=content)
    for key in kinds(good.state_dict):
        for name in TENSOR_CHANGES:
            yield f"{key} {name}", changed_tensor(good, key, name)
        yield (
            f"{key} is renamed",
            _with_state(good, {k if k != key else f"{k}x": v for k, v in good.state_dict.items()}),
        )
    for key in FURTHER_KEYS:
        yield f"further key {key[:40]}", _with_state(good, good.state_dict | {key: torch.zeros(1)})
    for part in ("hparams", "content"):
        tree = getattr(good, part)
        settings = {key: value for key, value in (tree or {}).items() if key != "state_dict" and not _is_tensor(value)}
        for path in places_in(settings):
            for odd in ODD_VALUES:
                yield f"{part} {path} = {str(odd)[:30]!r}", _with_setting(good, part, path, odd)
            yield f"{part} {path} is gone", _with_setting(good, part, path, _GONE)


_GONE = object()


def kinds(state: dict[str, Tensor]) -> list[str]:
    """One key of each kind: those that differ in numbers only are alike."""
    return list({re.sub(r"\d+", "#", key): key for key in reversed(state)}.values())


def changed_tensor(good: Published, key: str, name: str) -> Published:
    """The checkpoint with one tensor changed in the way of that name."""
    change, state = TENSOR_CHANGES[name], dict(good.state_dict)
    value = state[key] if state[key].ndim else state[key].unsqueeze(0)  # most changes are of axes
    state[key] = None if change is None else change(value)
    if change is None:
        del state[key]
    return _with_state(good, state)


def _with_state(good: Published, state: dict) -> Published:
    bare = "state_dict" not in good.content
    return replace(good, content=state if bare else {**good.content, "state_dict": state})


def _with_setting(good: Published, part: str, path: tuple, value: Any) -> Published:
    tree = {
        key: value if _is_tensor(value) or key == "state_dict" else copy.deepcopy(value)
        for key, value in getattr(good, part).items()
    }
    *outer, last = path
    inside = tree
    for key in outer:
        inside = inside[key]
    if value is _GONE:
        del inside[last]
    else:
        inside[last] = value
    return replace(good, **{part: tree})


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)
