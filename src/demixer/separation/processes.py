"""One piece of work, several processes: torchrun tells each its number, and its store what is next to be done."""

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self, TypeVar

import torch
from torch.distributed import DistNetworkError, TCPStore

from demixer.errors import UserError, one_line

LOOK_SECONDS = 0.2  # how often a process that waits looks for the others
STORE_SECONDS = 60  # how long torchrun's store may take to answer
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
        """What torchrun has told this process; else it is the only one.

        Other schedulers set the same variables without a store to meet at: their processes know nothing of each other.
        """
        told = os.environ
        if "TORCHELASTIC_RUN_ID" not in told:
            return cls()
        return cls(int(told["RANK"]), int(told["WORLD_SIZE"]), int(told["LOCAL_RANK"]))

    def share(self, items: Sequence[Item], order: Callable[[Item], Any]) -> list[Item]:
        """This process's items: each is in one share; in ``order``, the largest first, shares are about equal."""
        return list(items) if self.count == 1 else sorted(items, key=order)[self.rank :: self.count]

    def deal(self, listing: Callable[[], Sequence[str]]) -> "Deal":
        """Hand out items one after the other, each to the process that asks first.

        The first process that is ready lists them, for all: what appears meanwhile changes no other's list, and a
        process that cannot begin holds up nobody.

        Args:
            listing: gives the items, in the order in which they are to be done.

        Raises:
            UserError: the process that was to list them could not; or what ``listing`` raises.
        """
        store = self._store()
        if store is None:
            items = listing()
            return Deal(items, iter(range(len(items))))
        items = self._listed(store, listing)
        numbers = iter(lambda: store.add("dealt", 1) - 1, None)
        return Deal(items, itertools.takewhile(lambda number: number < len(items), numbers))

    def _listed(self, store: "_Keys", listing: Callable[[], Sequence[str]]) -> Sequence[str]:
        if store.add("who lists", 1) == 1:
            try:
                items = listing()
            except BaseException:
                store.set("cannot list", "")
                raise
            store.set("items", json.dumps(items))
            return items
        while not store.check(["items"]):
            if store.check(["cannot list"]):
                raise UserError(f"process {self.rank} cannot go on: another one failed, as told above")
            time.sleep(LOOK_SECONDS)
        return json.loads(store.get("items"))

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


@dataclass(frozen=True)
class Deal:
    """What there is to do.

    Args:
        items: all of it.
        numbers: places in ``items``, of those that this process is to do; the next is known once it is asked for.
    """

    items: Sequence[str]
    numbers: Iterator[int]


class _Keys:
    """torchrun's own store, with keys of this program and of this attempt: after a restart all begin anew.

    Raises:
        UserError: nobody answers.
    """

    def __init__(self) -> None:
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        try:
            self.store = TCPStore(*place, is_master=False, timeout=timedelta(seconds=STORE_SECONDS))
        except DistNetworkError as error:
            raise UserError(f"torchrun's store at {place[0]}:{place[1]} does not answer: {one_line(error)}") from error
        self.prefix = f"demixer/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"

    def add(self, key: str, amount: int) -> int:
        return self.store.add(f"{self.prefix}/{key}", amount)

    def set(self, key: str, value: str) -> None:
        self.store.set(f"{self.prefix}/{key}", value)

    def get(self, key: str) -> bytes:
        return self.store.get(f"{self.prefix}/{key}")

    def check(self, keys: list[str]) -> bool:
        return self.store.check([f"{self.prefix}/{key}" for key in keys])
