"""Checkpoints from strangers: what a pickle names is never imported or called, beyond tensors and plain containers.

torch's restricted unpickler does the work. The containers of OmegaConf, which public checkpoints hold, are rebuilt as
inert stand-ins that only keep what the file says of them; no code of OmegaConf runs, and it need not be installed.
"""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from demixer.errors import UserError, one_line

_NAMED = re.compile(r"(?:unsupported|Unsupported global:) GLOBAL ([\w.]+)")


class StandIn:
    """An object of a class that is not loaded: its state, and nothing else."""

    def __new__(cls, *arguments: Any) -> "StandIn":
        return super().__new__(cls)

    def __init__(self, *arguments: Any) -> None:
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


_STAND_INS = {
    name: type(name.rpartition(".")[2], (StandIn,), {})
    for name in (
        "omegaconf.dictconfig.DictConfig",
        "omegaconf.listconfig.ListConfig",
        "omegaconf.base.ContainerMetadata",
        "omegaconf.base.Metadata",
        *(f"omegaconf.nodes.{kind}Node" for kind in ("Any", "Boolean", "Float", "Integer", "Path", "String")),
        "typing.Any",
        "collections.defaultdict",
    )
}
_PLAIN_TYPES = {name: kind for kind in (dict, list, str, int, float, bool) for name in (f"builtins.{kind.__name__}",)}


def load_safely(file: Path) -> Any:
    """Read a ``.ckpt``, ``.pt`` or ``.pth`` file on the CPU.

    Returns:
        Tensors and plain containers; OmegaConf's become dictionaries and lists, without interpolation.

    Raises:
        UserError: the file is damaged, or it names anything else; the message says what.
    """
    admitted = [(kind, name) for name, kind in (_STAND_INS | _PLAIN_TYPES).items()]
    try:
        with torch.serialization.safe_globals(admitted):
            content = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if named := _NAMED.search(str(error)):
            raise UserError(
                f"refused `{file}`: it names `{named[1]}`, and a checkpoint may hold tensors and plain data only"
            ) from None
        raise UserError(f"cannot read the weights `{file}`: {_first_sentence(error)}") from error
    except (OSError, RuntimeError, EOFError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise UserError(f"cannot read the weights `{file}`: {_first_sentence(error)}") from error
    return _plain(content)


def _plain(value: Any) -> Any:
    """Containers of stand-ins → dictionaries and lists of what they hold."""
    if isinstance(value, StandIn):
        state = value.state if isinstance(value.state, dict) else {}
        return _plain(state.get("_content", state.get("_val")))
    if type(value) is dict:
        return {key: _plain(entry) for key, entry in value.items()}
    if type(value) in (list, tuple):
        return [_plain(entry) for entry in value]
    return value


def _first_sentence(error: BaseException) -> str:
    return one_line(error)[:200]
