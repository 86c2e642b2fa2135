"""Whether weights are those of a network: every key and every shape."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from demixer.errors import UserError


def load_strictly(network: torch.nn.Module, weights: Mapping[str, Tensor], file: Path) -> None:
    """Load weights into a network; every key and shape must match.

    Raises:
        UserError: it lists what is missing, left over or of another shape.
    """
    check_fit(network, weights, file)
    network.load_state_dict(dict(weights))


def check_fit(network: torch.nn.Module, weights: Mapping[str, Tensor], file: Path) -> None:
    """Refuse weights of other keys or shapes than a network's, which may be on the meta device.

    Raises:
        UserError: it lists what is missing, left over or of another shape.
    """
    own = network.state_dict()
    shapes = [
        f"{key} {tuple(weights[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(own.keys() & weights.keys())
        if own[key].shape != weights[key].shape
    ]
    check_keys(weights.keys(), own.keys(), file, shapes)


def check_finite(weights: Mapping[str, Tensor], file: Path) -> None:
    """Refuse weights that hold infinity or what is no number: whatever they separate becomes so, too.

    Raises:
        UserError: it names the file and the first such weights.
    """
    wrong = [key for key, value in weights.items() if not value.isfinite().all()]
    if wrong:
        raise UserError(
            f"the weights `{file}` are damaged: {len(wrong)} of {len(weights)} tensors hold infinite values or NaN, "
            f"first {wrong[0]}: take another checkpoint of it"
        )


def check_keys(keys: Collection[str], expected: Collection[str], file: Path, shapes: Sequence[str] = ()) -> None:
    """Refuse weights whose keys are not those that their network has.

    Raises:
        UserError: it lists what is missing, left over or (``shapes``) of another shape.
    """
    missing, extra = sorted(set(expected) - set(keys)), sorted(set(keys) - set(expected))
    problems = [
        f"{len(names)} {kind}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
        for kind, names in (("missing", missing), ("left over", extra), ("of another shape", shapes))
        if names
    ]
    if problems:
        raise UserError(f"the weights `{file}` do not fit the network of its settings: {'; '.join(problems)}")
