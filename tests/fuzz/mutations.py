"""How a good file becomes a bad one: bytes, plain data, and tensors, changed by a generator that is handed in."""

import copy
import math
from collections.abc import Iterator
from random import Random
from typing import Any

EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
HEADER_BYTES = 512  # most of what a file says of itself stands here or at its end
ODD_VALUES = (
    *(None, True, False, -1, 0, 1, 2, 7, 10**9, 2**31, 2**63, 10**400, -(10**30)),
    *(0.5, 2.0, -0.5, 1e-300, 1e308, math.nan, math.inf, -math.inf),
    *("", "x", "7", "\x1b[31mred\x07", "x" * 50_000, "../../x", "a\nb", "\u202egpj", "${oc.env:HOME}"),
    *([], [1], ["x"], [[1, 2]], [[]], [None], {}, {"a": 1}, {1: 2}, [{}], list(range(500))),
)


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """The same bytes with one to eight faults, most of them near the beginning or the end."""
    content = bytearray(data)
    for _ in range(random.choice((1, 1, 1, 2, 4, 8))):
        random.choice(_FAULTS)(content, _place(len(content), random), random)
    return bytes(content)


def _place(length: int, random: Random) -> int:
    near = min(length, HEADER_BYTES)
    offset = random.randrange(max(1, random.choice((near, near, length))))
    return offset if random.random() < 0.7 else max(0, length - 1 - offset)


def _flip(content: bytearray, at: int, random: Random) -> None:
    content[at : at + 1] = bytes(byte ^ (1 << random.randrange(8)) for byte in content[at : at + 1])


def _replace(content: bytearray, at: int, random: Random) -> None:
    content[at : at + 1] = bytes([random.randrange(256)])


def _number(content: bytearray, at: int, random: Random) -> None:
    size = random.choice((1, 2, 4, 8))
    number = random.choice(EDGES) % (1 << (8 * size))
    content[at : at + size] = number.to_bytes(size, random.choice(("little", "big")))


def _delete(content: bytearray, at: int, random: Random) -> None:
    del content[at : at + random.choice((1, 2, 4, 16, 100, 1000))]


def _insert(content: bytearray, at: int, random: Random) -> None:
    content[at:at] = random.randbytes(random.choice((1, 2, 4, 16, 100)))


def _repeat(content: bytearray, at: int, random: Random) -> None:
    content[at:at] = content[at : at + random.choice((1, 4, 16, 100, 1000))]


def _blank(content: bytearray, at: int, random: Random) -> None:
    size = len(content[at : at + random.choice((4, 16, 100, 1000))])
    content[at : at + size] = bytes([random.choice((0, 0xFF))]) * size


def _cut(content: bytearray, at: int, random: Random) -> None:
    del content[at:]


_FAULTS = (_flip, _flip, _replace, _number, _number, _number, _delete, _insert, _repeat, _blank, _cut)


def places_in(tree: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path to every value in dictionaries and lists."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in entries:
        yield (*path, key)
        yield from places_in(value, (*path, key))


def mutated_tree(tree: Any, random: Random, odd: tuple = ODD_VALUES) -> Any:
    """The same plain data with one or two values replaced, gone, renamed or wrapped."""
    tree = copy.deepcopy(tree)
    for _ in range(random.choice((1, 1, 2))):
        places = list(places_in(tree))
        if not places:
            return random.choice(odd)
        *path, last = random.choice(places)
        inside = tree
        for key in path:
            inside = inside[key]
        kind = random.choice(("replace", "replace", "replace", "drop", "rename", "wrap"))
        if kind == "drop":
            del inside[last]
        elif kind == "rename" and isinstance(inside, dict):
            inside[random.choice(("x", f"{last}x", 7, "\x1b[2J"))] = inside.pop(last)
        elif kind == "wrap":
            inside[last] = random.choice(([inside[last]], {"x": inside[last]}, str(inside[last])))
        else:
            inside[last] = random.choice(odd)
    return tree
