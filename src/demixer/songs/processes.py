"""One catalogue, several processes: torchrun tells each its number, and the songs are dealt out by it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

import torch
from torch.distributed import TCPStore

from demixer.songs.finding import Song

PATIENCE = timedelta(days=30)  # how long a process that is done waits for the slowest


@dataclass(frozen=True)
class Process:
    """This process's place among those that share the work.

    Args:
        rank: its number.
        count: how many there are.
        local_rank: its number on this machine.
    """

    rank: int = 0
    count: int = 1
    local_rank: int = 0

    @classmethod
    def from_environment(cls) -> Self:
        """What torchrun has told this process; the only process, where nothing was told."""
        told = os.environ
        return cls(int(told.get("RANK", 0)), int(told.get("WORLD_SIZE", 1)), int(told.get("LOCAL_RANK", 0)))

    def share(self, songs: Sequence[Song]) -> list[Song]:
        """This process's songs: each song is in one share, and the large files are spread evenly."""
        if self.count == 1:
            return list(songs)
        return sorted(songs, key=lambda song: (-_size(song), song.path))[self.rank :: self.count]

    def device(self, name: str) -> str:
        """Each process of a machine takes a GPU of its own, unless one is named."""
        if self.count > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local_rank % torch.cuda.device_count()}"
        return name

    @contextmanager
    def leaving_together(self) -> Iterator[None]:
        """Hold this process, however it fares, until all are done: torchrun stops the rest when one exits badly."""
        try:
            yield
        except Exception:
            self._wait_for_all()
            raise
        self._wait_for_all()

    def _wait_for_all(self) -> None:
        if self.count == 1 or "MASTER_ADDR" not in os.environ:
            return
        store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        if store.add(f"songs/{attempt}/done", 1) == self.count:
            store.set(f"songs/{attempt}/all done", "")
        store.wait([f"songs/{attempt}/all done"], PATIENCE)


def _size(song: Song) -> int:
    try:
        return song.path.stat().st_size
    except OSError:
        return 0
