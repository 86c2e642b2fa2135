"""Whether weights are those of a network: every key and every shape."""

from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from demixer.errors import UserError

Shape = tuple[int, ...]


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
        UserError: it lists what is missing, left over, of another shape, or no floating-point numbers.
    """
    check_shapes(weights, ((key, tuple(value.shape)) for key, value in network.state_dict().items()), file)


def check_shapes(weights: Mapping[str, Tensor], shapes: Iterable[tuple[str, Shape]], file: Path) -> None:
    """Refuse weights of other keys or shapes than those that their network has.

    Args:
        weights: by their keys.
        shapes: every key with its shape.
        file: of the weights.

    Raises:
        UserError: it lists what is missing, left over, of another shape, or no floating-point numbers.
    """
    expected = dict(islice(shapes, 2 * len(weights) + 1000))  # who claims still more lacks most of it
    both = expected.keys() & weights.keys()
    _refuse(
        file,
        missing=expected.keys() - weights.keys(),
        left_over=weights.keys() - expected.keys(),
        of_another_shape={
            f"{key} {tuple(weights[key].shape)} instead of {expected[key]}"
            for key in both
            if tuple(weights[key].shape) != expected[key]
        },
        no_floating_point_numbers={
            f"{key} ({str(weights[key].dtype).removeprefix('torch.')})"
            for key in both
            if not weights[key].is_floating_point()
        },
    )


def check_keys(keys: Collection[str], expected: Collection[str], file: Path) -> None:
    """Refuse weights whose keys are not those that their network has.

    Raises:
        UserError: it lists what is missing or left over.
    """
    _refuse(file, missing=set(expected) - set(keys), left_over=set(keys) - set(expected))


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


def _refuse(file: Path, **problems: Collection[str]) -> None:
    told = [f"{len(names)} {kind.replace('_', ' ')}: {_some(names)}" for kind, names in problems.items() if names]
    if told:
        raise UserError(f"the weights `{file}` do not fit the network of its settings: {'; '.join(told)}")


def _some(names: Collection[str]) -> str:
    return ", ".join(name[:200] for name in sorted(names)[:5]) + " …" * (len(names) > 5)
