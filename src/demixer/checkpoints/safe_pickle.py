"""Pickles from strangers: nothing that they name is imported or called.

Every class and function in the pickle becomes an inert stand-in that only keeps what the file says of it: with which
arguments it would be called, which state and which entries it would get. What they mean is read off afterwards
(:mod:`demixer.checkpoints.torch_file`), so that tensors are looked at before there is memory for them, and neither
torch's nor OmegaConf's code runs.
"""

import pickle
import struct
from collections.abc import Mapping
from io import BytesIO
from typing import Any, NamedTuple

from demixer.errors import UserError, one_line, shown

LARGEST_BYTES = 1 << 23  # 40 000 tensors are described in this; the largest public checkpoint has 9 000 in 2 MB
DEEPEST = 64  # containers inside of containers; Lightning's have eight
# What torch.save writes; the other opcodes are not needed, and some allocate what they only promise to hold.
_OPCODES = (
    "APPEND APPENDS BINFLOAT BINGET BININT BININT1 BININT2 BINPERSID BINPUT BINUNICODE BUILD EMPTY_DICT EMPTY_LIST "
    "EMPTY_SET EMPTY_TUPLE GLOBAL LONG1 LONG_BINGET LONG_BINPUT MARK NEWFALSE NEWOBJ NEWTRUE NONE PROTO REDUCE SETITEM "
    "SETITEMS SHORT_BINSTRING STOP TUPLE TUPLE1 TUPLE2 TUPLE3"
)
# torch.save names them as Python 2 did: its int is long, its str unicode
_PLAIN = ("dict", "list", "tuple", "set", "frozenset", "str", "unicode", "int", "long", "float", "bool", "complex")
_NODES = ("Any", "Boolean", "Float", "Integer", "Path", "String")
STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
_DTYPES = ("float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool", "complex64")
ADMITTED = frozenset(
    {
        *(f"builtins.{name}" for name in (*_PLAIN, "bytearray")),
        *(f"torch.{name}Storage" for name in STORAGES),
        *(f"torch.{name}" for name in ("Size", "device", *_DTYPES)),
        *(f"torch._utils.{name}" for name in ("_rebuild_tensor_v2", "_rebuild_tensor", "_rebuild_parameter")),
        *(f"omegaconf.nodes.{kind}Node" for kind in _NODES),
        "omegaconf.dictconfig.DictConfig",
        "omegaconf.listconfig.ListConfig",
        "omegaconf.base.ContainerMetadata",
        "omegaconf.base.Metadata",
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.Counter",
        "typing.Any",
        "_codecs.encode",
    }
)


class UnsafeError(UserError):
    """A pickle names what no checkpoint needs."""


class StandIn:
    """What stands for an object of a class that is not loaded, or for the result of a function that is not called.

    Attributes:
        name: of the class or function.
        arguments: that it would be called with.
        state: that it would be set up from.
        entries: that it would hold, if it is a dictionary.
    """

    name = ""

    def __new__(cls, *arguments: Any) -> "StandIn":
        made = super().__new__(cls)
        made.arguments, made.state, made.entries = arguments, None, {}
        return made

    def __init__(self, *arguments: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def __setitem__(self, key: Any, value: Any) -> None:
        self.entries[key] = value


class Storage(NamedTuple):
    """The values that tensors are made of, as a pickle refers to them: their kind, their record, their number."""

    kind: str
    key: str
    numel: int


_DISPATCH = {
    opcode: pickle._Unpickler.dispatch[opcode] for opcode in (ord(getattr(pickle, o)) for o in _OPCODES.split())
}


class _Unpickler(pickle._Unpickler):  # in Python, since the one in C takes gigabytes for one wrong byte
    dispatch = _DISPATCH

    def find_class(self, module: str, name: str) -> type[StandIn]:
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        if full not in ADMITTED:
            raise UnsafeError(f"it names `{shown(full)[:100]}`, and a checkpoint may hold tensors and plain data only")
        return type(name, (StandIn,), {"name": full})

    def persistent_load(self, reference: Any) -> Storage:
        match reference:
            case ("storage", type() as kind, str() as key, str(), int() as numel) if issubclass(kind, StandIn):
                return Storage(kind.name.removeprefix("torch.").removesuffix("Storage"), key, numel)
        raise UserError("it refers to something else than the values of a tensor")


def unpickle(data: bytes) -> Any:
    """Read a pickle as ``torch.save`` writes them: plain data, stand-ins and storages.

    Raises:
        UserError: it is damaged, or names what no checkpoint needs; the message is the reason alone.
    """
    if len(data) > LARGEST_BYTES:
        raise UserError(f"its description is larger than {LARGEST_BYTES >> 20} MB")
    try:
        return _Unpickler(BytesIO(data)).load()
    except UserError:
        raise
    except (
        *(pickle.UnpicklingError, EOFError, struct.error, AssertionError),
        *(LookupError, ValueError, TypeError, AttributeError, ArithmeticError),
    ) as error:  # pickle.py falls over damage in all these ways; its words would tell a user nothing
        raise UserError(f"its description is damaged ({type(error).__name__}: {one_line(error)[:100]})") from error


def contained(value: StandIn) -> Any:
    """What a stand-in's object would hold, as plain data: a dictionary's entries, a list's, OmegaConf's content."""
    if value.name.startswith("omegaconf."):
        state = value.state if isinstance(value.state, Mapping) else {}
        return state.get("_content", state.get("_val"))
    if value.name.startswith("collections."):
        pairs = value.arguments[0] if value.arguments and isinstance(value.arguments[0], list) else []
        given = dict(pair for pair in pairs if isinstance(pair, list | tuple) and len(pair) == 2)
        return given | value.entries
    if value.name in ("torch.Size", "builtins.set", "builtins.frozenset", "builtins.list", "builtins.tuple"):
        return list(value.arguments[0]) if value.arguments and isinstance(value.arguments[0], list | tuple) else []
    return None
