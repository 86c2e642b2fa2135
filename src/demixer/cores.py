"""A batch on a processor: its parts side by side, each on its share of the cores."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache
from threading import Barrier

import torch
from torch import Tensor


def spread_over_cores(function: Callable[[Tensor], Tensor], batch: Tensor) -> Tensor:
    """``function(batch)``, computed in as many parts as there are items or cores.

    A recurrent layer makes its cores wait for each other at every step; parts do not wait.

    Args:
        function: (B, …) → (B, …), each item by itself. It runs in other threads, where no mode of torch is set that
            the caller has set.
        batch: (B, …) on a processor.
    """
    cores = torch.get_num_threads()
    parts = batch.chunk(min(cores, len(batch)))
    if len(parts) == 1:
        return function(batch)
    pool = _threads(len(parts), cores)
    futures = [pool.submit(function, part) for part in parts]
    wait(futures)  # of all, even if one fails: its caller may try again with less
    return torch.cat([future.result() for future in futures])


@cache
def _threads(count: int, cores: int) -> ThreadPoolExecutor:
    """So many threads, each of which lets torch use its share of the cores."""
    ready = Barrier(count + 1)

    def begin() -> None:
        torch.get_num_threads()  # makes torch set this thread up, which would undo the next line later on
        torch.set_num_threads(cores // count)
        ready.wait()

    pool = ThreadPoolExecutor(count, thread_name_prefix="cores", initializer=begin)
    for _ in range(count):
        pool.submit(int)
    ready.wait()
    torch.set_num_threads(cores)  # of this thread as before, and of those that others start from here on
    return pool
