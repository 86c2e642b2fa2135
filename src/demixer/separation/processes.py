"""One piece of work, several processes: torchrun tells each its number, and what there is to do is dealt out by it."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import torch
from torch.distributed import TCPStore

from demixer.errors import UserError

LOOK_SECONDS = 0.2  # how often a process that waits looks for the others
Item = TypeVar("Item")


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

    def share(self, items: Sequence[Item], order: Callable[[Item], Any]) -> list[Item]:
        """This process's items: each is in one share; in ``order``, the largest first, shares are about equal."""
        return list(items) if self.count == 1 else sorted(items, key=order)[self.rank :: self.count]

    def device(self, name: str) -> str:
        """Each process of a machine takes a GPU of its own, unless one is named."""
        if self.count > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local_rank % torch.cuda.device_count()}"
        return name

    def meet(self, place: str) -> None:
        """Wait until all processes have come to this place.

        Raises:
            UserError: another one failed before it.
        """
        self._wait(place, heedless=False)

    @contextmanager
    def leaving_together(self) -> Iterator[None]:
        """Hold this process, however it fares, until all are done: torchrun stops the rest when one exits badly."""
        try:
            yield
        except Exception:
            if store := self._store():
                store.set("failed", "")
            self._wait("the end", heedless=True)
            raise
        self._wait("the end", heedless=True)

    def _wait(self, place: str, heedless: bool) -> None:
        store = self._store()
        if store is None:
            return
        if store.add(place, 1) == self.count:
            store.set(f"all at {place}", "")
        while not store.check([f"all at {place}"]):
            if not heedless and store.check(["failed"]):
                raise UserError(f"process {self.rank} cannot go on: another one failed, as told above")
            time.sleep(LOOK_SECONDS)

    def _store(self) -> "_Keys | None":
        return _Keys() if self.count > 1 and "MASTER_ADDR" in os.environ else None


class _Keys:
    """torchrun's own store, with keys of this program and of this attempt: after a restart all begin anew."""

    def __init__(self) -> None:
        self.store = TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
        self.prefix = f"demixer/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"

    def add(self, key: str, amount: int) -> int:
        return self.store.add(f"{self.prefix}/{key}", amount)

    def set(self, key: str, value: str) -> None:
        self.store.set(f"{self.prefix}/{key}", value)

    def check(self, keys: list[str]) -> bool:
        return self.store.check([f"{self.prefix}/{key}" for key in keys])
