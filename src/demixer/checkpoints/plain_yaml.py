"""YAML from strangers: plain data in bounded memory and time, whatever the file says."""

from pathlib import Path
from typing import Any

import yaml

from demixer.errors import UserError, of_system, one_line

LARGEST_BYTES = 1 << 18  # a model's settings take 1 to 4 kB, the registry 20; PyYAML reads 100 kB in a second
MOST_VALUES = 20_000  # once every alias is written out
DEEPEST = 32  # values inside of values; settings have five
_TOO_DEEP = f"its values lie more than {DEEPEST} deep in each other"


class LoaderWithTuples(yaml.SafeLoader):
    """Takes Python's tag of tuples for lists; every other tag is refused, as always."""


LoaderWithTuples.add_constructor(
    "tag:yaml.org,2002:python/tuple", lambda loader, node: loader.construct_sequence(node, deep=True)
)


def read_yaml(file: Path, kind: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Read a YAML file as plain data: no tag, interpolation or ``_target_`` in it has any effect.

    Args:
        file: of settings.
        kind: of loader.

    Raises:
        UserError: it is missing, no YAML, or larger than settings can be: as it is, or by what its aliases stand for.
    """
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise UserError(of_system(error)) from error
    if len(content) > LARGEST_BYTES:
        raise UserError(f"it is larger than {LARGEST_BYTES // 1024} kB, which no settings are")
    try:
        loader = kind(content.decode("utf-8"))
        tree = loader.get_single_node()
    except RecursionError:  # PyYAML's composer calls itself for each level
        raise UserError(_TOO_DEEP) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(one_line(error)[:300]) from error
    if tree is None:
        return None
    _check_size(tree)
    try:
        return loader.construct_document(tree)
    except yaml.YAMLError as error:
        raise UserError(one_line(error)[:300]) from error
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError) as error:
        # what PyYAML's constructors fall over: dates, numbers and binary values that are none
        raise UserError(f"a number, date or binary value in it is none ({one_line(error)[:200]})") from error


def _check_size(tree: yaml.Node) -> None:
    """Count what the file stands for before it is built: an alias is a whole branch again, and may lead to itself."""
    counts: dict[int, int] = {}

    def count(node: yaml.Node, depth: int) -> int:
        if depth > DEEPEST:
            raise UserError(_TOO_DEEP)
        if id(node) not in counts:
            pairs = node.value if isinstance(node, yaml.MappingNode) else ()
            entries = node.value if isinstance(node, yaml.SequenceNode) else [one for pair in pairs for one in pair]
            counts[id(node)] = 1 + sum(count(entry, depth + 1) for entry in entries)
        return counts[id(node)]

    if count(tree, 0) > MOST_VALUES:
        raise UserError(f"it stands for more than {MOST_VALUES} values, which no settings have")
