"""Stems kept in memory: of one process, or one copy for all training processes of a machine."""

import tempfile
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from pytorch_lightning import Trainer
from torch import Tensor

from demixer.errors import UserError

Key = tuple[str, str]  # song and source


@dataclass(frozen=True)
class Held:
    """What a stem takes in memory: (2, ``frames``) of ``dtype``."""

    key: Key
    frames: int
    dtype: torch.dtype

    @property
    def bytes(self) -> int:
        return 2 * self.frames * self.dtype.itemsize


@dataclass(frozen=True)
class SharedFile:
    """Where the processes of a machine share their stems: a file that one writes and all map into their memory.

    The pages that they read are the system's, so there is one of each however many processes look. Once all have the
    file open it has no name any more, and its room is given back when the last of them ends, however it ends.

    Args:
        path: The same in all processes of the machine; nothing is there yet.
        writes: Whether this is the process that writes it.
        barrier: Returns when all processes have called it.
    """

    path: Path
    writes: bool
    barrier: Callable[[], object]


def shared_file(trainer: Trainer | None) -> SharedFile | None:
    """A file for the processes of ``trainer`` on this machine, where there are several."""
    if trainer is None or trainer.num_devices == 1:
        return None
    name = trainer.strategy.broadcast(f"demixer-{uuid.uuid4().hex}.stems")
    return SharedFile(Path(tempfile.gettempdir(), name), trainer.local_rank == 0, trainer.strategy.barrier)


def hold(stems: Iterable[Held], load: Callable[[Key], Tensor], shared: SharedFile | None = None) -> dict[Key, Tensor]:
    """Every stem (2, frames), read with ``load``; with a shared file, by one process of the machine.

    Raises:
        UserError: the folder of the shared file has no room, or is not seen by all processes.
    """
    stems = list(stems)
    if shared is None:
        return {one.key: load(one.key) for one in stems}
    try:
        if shared.writes:
            _write(shared.path, stems, load)
        shared.barrier()
        held = _map(shared.path, stems)
        shared.barrier()
    finally:
        if shared.writes:
            shared.path.unlink(missing_ok=True)
    return held


def _write(path: Path, stems: Iterable[Held], load: Callable[[Key], Tensor]) -> None:
    try:
        with path.open("xb") as file:
            for one in stems:
                file.write(load(one.key).to(one.dtype).contiguous().numpy().tobytes())
    except OSError as error:
        size = sum(one.bytes for one in stems) / 1e9
        raise UserError(
            f"`preload` needs {size:.1f} GB in `{path.parent}` to share the stems ({error.strerror}): set TMPDIR to a "
            "folder with room, or preload=false"
        ) from error


def _map(path: Path, stems: Iterable[Held]) -> dict[Key, Tensor]:
    if not path.is_file():
        raise UserError(f"`preload` shares the stems in `{path.parent}`, which not all processes see: set TMPDIR")
    total = sum(one.bytes for one in stems)
    memory = torch.from_file(str(path), shared=True, size=total, dtype=torch.uint8)
    held: dict[Key, Tensor] = {}
    first = 0
    for one in stems:  # each begins at a multiple of four bytes, since it has two channels of at least two
        held[one.key] = memory[first : first + one.bytes].view(one.dtype).view(2, one.frames)
        first += one.bytes
    return held
