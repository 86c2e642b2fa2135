"""What ``torch.save`` wrote, read without torch's loader: that one believes what a file says of its own sizes.

Such a file is a zip archive of stored (not compressed) records: ``data.pkl``, which describes containers and tensors,
and ``data/0`` …, their values. Each size that the description claims is held against the record before anything is
allocated, so that a file takes about as much memory as it is long.
"""

import math
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from demixer.checkpoints.archive import zip_errors
from demixer.checkpoints.safe_pickle import DEEPEST, StandIn, Storage, UnsafeError, contained, unpickle
from demixer.errors import UserError, brief, of_system, shown

MOST_AXES = 8  # weights have at most four
MOST_COPIES = 2  # of the file's length: tensors may share their values, as tied weights do
_ALLOWANCE_BYTES = 1 << 20
_DTYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
}
_REBUILT = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor")
_PARAMETER = "torch._utils._rebuild_parameter"


def load_safely(file: Path) -> Any:
    """Read a ``.ckpt``, ``.pt`` or ``.pth`` file on the CPU.

    Returns:
        Plain containers with tensors; OmegaConf's become dictionaries and lists, without interpolation. Of a mapping
        with a ``state_dict``, the tensors elsewhere (an optimiser's) are None, and are not read.

    Raises:
        UserError: the file is damaged, or it names anything else; the message says what.
    """
    try:
        with file.open("rb") as stream:
            first = stream.read(2)
    except OSError as error:
        raise UserError(f"cannot read the weights {of_system(error)}") from error
    if first[:1] == b"\x80":
        raise UserError(
            f"refused `{file}`: it is a bare pickle, as torch before 1.6 wrote them; save it again with a newer torch, "
            "where you trust it"
        )
    try:
        with zip_errors(), zipfile.ZipFile(file) as content:
            return _Records(content, file.stat().st_size).read()
    except UnsafeError as error:
        raise UserError(f"refused `{file}`: {error}") from error
    except UserError as error:
        raise UserError(f"cannot read the weights `{file}`: {error}") from error


class _Records:
    """The records of one archive.

    Args:
        content: the archive.
        size_bytes: its length.
    """

    def __init__(self, content: zipfile.ZipFile, size_bytes: int) -> None:
        self.content, self.size_bytes = content, size_bytes
        self.told_bytes = 0  # by all tensors so far
        self.values: dict[str, Tensor] = {}
        self.plain_values: dict[int, Any] = {}  # by the identity of what they were made of, which is kept …
        self.kept: list[Any] = []  # … also where it was made on the way
        entries = content.infolist()
        # zipfile reads as much as a record claims to be when it is compressed
        stored = (
            entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size for entry in entries
        )
        if not all(stored):
            raise UserError("its records are compressed, which torch.save never does")
        if sum(entry.file_size for entry in entries) > size_bytes:
            raise UserError("its records tell of more bytes than it has")
        places = [name.removesuffix("data.pkl") for name in content.namelist() if name.endswith("/data.pkl")]
        if len(places) != 1:
            raise UserError("it is no checkpoint, but another zip archive")
        self.place = places[0]

    def read(self) -> Any:
        order = f"{self.place}byteorder"
        if order in self.content.NameToInfo and self.content.read(order) != sys.byteorder.encode():
            raise UserError("its numbers have their bytes in the order of another kind of machine")
        tree = unpickle(self.content.read(f"{self.place}data.pkl"))
        if isinstance(tree, dict) and self._is_mapping(tree.get("state_dict")):
            return {key: self.plain(value, tensors=key == "state_dict") for key, value in tree.items()}
        return self.plain(tree)

    @staticmethod
    def _is_mapping(value: Any) -> bool:
        return isinstance(value, dict) or (isinstance(value, StandIn) and value.name.startswith("collections."))

    def plain(self, value: Any, depth: int = 0, tensors: bool = True) -> Any:
        """Stand-ins → tensors, and dictionaries and lists of what they hold; each object once, however often it is
        referred to.
        """
        if depth > DEEPEST:
            raise UserError(f"its containers lie more than {DEEPEST} deep in each other")
        if not isinstance(value, StandIn | dict | list | tuple | set):
            return None if isinstance(value, type) else value
        if id(value) not in self.plain_values:
            self.plain_values[id(value)] = self._plain(value, depth + 1, tensors)
        found = self.plain_values[id(value)]
        if isinstance(found, Tensor):
            self._count(found)
        return found

    def _count(self, tensor: Tensor) -> None:
        """A tensor that stands in several places may become several when it is converted."""
        self.told_bytes += tensor.numel() * tensor.itemsize
        if self.told_bytes > MOST_COPIES * self.size_bytes + _ALLOWANCE_BYTES:
            raise UserError(f"its tensors stand for more than {MOST_COPIES} times the bytes that it has")

    def _plain(self, value: Any, depth: int, tensors: bool) -> Any:
        if isinstance(value, StandIn):
            if value.name == _PARAMETER:
                return self.plain(value.arguments[0] if value.arguments else None, depth, tensors)
            if value.name in _REBUILT:
                return self._tensor(*value.arguments[:4]) if tensors and len(value.arguments) >= 4 else None
            self.kept.append(contained(value))
            return self.plain(self.kept[-1], depth, tensors)
        if isinstance(value, dict):
            return {key: self.plain(entry, depth, tensors) for key, entry in value.items()}
        return [self.plain(entry, depth, tensors) for entry in value]

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any) -> Tensor:
        """A tensor, once it is clear that its values are there, and that it stands for no more than those."""
        whole = isinstance(size, tuple) and isinstance(stride, tuple) and len(size) == len(stride) <= MOST_AXES
        whole = whole and all(type(number) is int and number >= 0 for number in (offset, *size, *stride))
        if not whole or not isinstance(storage, Storage) or storage.kind not in _DTYPES:
            raise UserError("a tensor in it has no size")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        numel = math.prod(size)
        if numel > storage.numel or (numel and last >= storage.numel):
            raise UserError(f"a tensor in it of shape {brief(size)} has only {brief(storage.numel)} values")
        return self._values(storage).as_strided(size, stride, offset)

    def _values(self, storage: Storage) -> Tensor:
        """The values of a record, read once for all tensors that share them."""
        name, dtype = f"{self.place}data/{storage.key}", _DTYPES[storage.kind]
        entry = self.content.NameToInfo.get(name)
        if entry is None or entry.file_size != storage.numel * dtype.itemsize:
            held = 0 if entry is None else entry.file_size
            wanted = f"{brief(storage.numel)} values of {dtype.itemsize} bytes"
            raise UserError(f"its record `data/{shown(storage.key)[:20]}` has {held} bytes instead of {wanted}")
        known = f"{storage.kind} {storage.key}"
        if known not in self.values:
            data = bytearray(self.content.read(entry))
            self.values[known] = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return self.values[known]
