"""A batch on a processor: its parts side by side, each on its share of the cores."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Barrier
from typing import TypeVar

import torch
from torch import Tensor

Part = TypeVar("Part")
Result = TypeVar("Result")


def spread_over_cores(function: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """``function(batch)``, computed in as many parts as there are items or cores.

    A recurrent layer makes its cores wait for each other at every step; parts do not wait.

    Args:
        function: (B, …) → (B, …), each item by itself. It runs in other threads, where no mode of torch is set that
            the caller has set.
        batch: (B, …) on a processor.
    """
    parts = batch.split(sizes_of_parts(len(batch)))
    return function(batch) if len(parts) == 1 else torch.cat(side_by_side(function, parts))


def sizes_of_parts(items: int) -> list[int]:
    """How many of a batch's items each part of it has: as many parts as there are items or cores."""
    return shares(items, max(1, min(items, torch.get_num_threads())))


def side_by_side(function: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
    """The function of each of at most as many parts as there are cores, in the order of the parts.

    A single part is computed here; several are in threads of their own, where no mode of torch is set that the caller
    has set, and which use as many cores each as they can have.
    """
    if len(parts) == 1:
        return [function(parts[0])]
    pool = _threads(len(parts), torch.get_num_threads())
    futures = [pool.submit(function, part) for part in parts]
    wait(futures)  # of all, even if one fails: its caller may try again with less
    return [future.result() for future in futures]


def shares(whole: int, count: int) -> list[int]:
    """Divide a number of items or cores into ``count`` shares that differ by one at the most.

    >>> shares(4, 3), shares(10, 4)
    ([2, 1, 1], [3, 3, 2, 2])
    """
    return [whole // count + (number < whole % count) for number in range(count)]


def items_at_once(wanted: int, cores: int) -> int:
    """How many items to compute at once, so that all cores have equal shares of the work.

    That is the number nearest to ``wanted``, more than half and less than twice of it, of which either every core
    gets as many, or every item as many cores; of two that are as near, the smaller. Where there is none, it is
    ``wanted``, and some items have one core more than others.

    >>> [items_at_once(4, cores) for cores in (1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 16)]
    [4, 4, 3, 4, 5, 3, 7, 4, 5, 4, 4]
    """
    near = [n for n in range(wanted // 2 + 1, 2 * wanted) if cores % n == 0 or n % cores == 0]
    return min(near, key=lambda n: (abs(n - wanted), n), default=wanted)


@cache
def _threads(count: int, cores: int) -> ThreadPoolExecutor:
    """So many threads, each of which lets torch use its share of the cores.

    Which thread takes which part does not matter: where the cores' shares differ, every part is one item.
    """
    ready, counts = Barrier(count + 1), iter(shares(cores, count))

    def begin() -> None:
        torch.get_num_threads()  # makes torch set this thread up, which would undo the next line later on
        torch.set_num_threads(next(counts))
        ready.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="cores", initializer=begin)
    for _ in range(count):
        pool.submit(int)
    ready.wait()
    torch.set_num_threads(cores)  # of this thread as before, and of those that others start from here on
    return pool
