"""What a live network knows of the past: tensors by name, a dot between the names of the places they belong to."""

from collections.abc import Mapping

from torch import Tensor

State = dict[str, Tensor]


def joined(states: Mapping[str, State]) -> State:
    """The states of several places as one.

    >>> joined({"split": {"sums": 1}, "mask": {"sums": 2}})
    {'split.sums': 1, 'mask.sums': 2}
    """
    return {f"{place}.{name}": value for place, state in states.items() for name, value in state.items()}


def part_of(state: State, place: str) -> State:
    """What a state holds for one place, by its names there.

    >>> part_of({"split.sums": 1, "mask.sums": 2}, "mask")
    {'sums': 2}
    """
    prefix = f"{place}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
