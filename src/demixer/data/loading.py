"""How examples become batches, and what worker processes are told."""

from multiprocessing import get_all_start_methods
from typing import Any

import torch
from torch.utils.data import DataLoader

Batch = dict[str, Any]


class ResumableLoader(DataLoader):
    """A loader that may start within an epoch.

    Lightning warns on resuming within an epoch unless the loader has these two methods. The position itself stands
    in the trainer's own counters, from which :class:`demixer.data.sampler.StreamSampler` reads it.
    """

    def state_dict(self) -> dict[str, Any]:
        """Nothing: the trainer keeps the position."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to do, see :meth:`state_dict`."""


def worker_options(num_workers: int, prefetch_factor: int) -> dict[str, Any]:
    """Arguments of a DataLoader whose workers live as long as it does, with one thread each.

    They are forks where the system can fork, so that they share the preloaded stems.
    """
    if num_workers == 0:
        return {}
    return {
        "num_workers": num_workers,
        "prefetch_factor": prefetch_factor,
        "persistent_workers": True,
        "worker_init_fn": _one_thread,
        "multiprocessing_context": "fork" if "fork" in get_all_start_methods() else None,
    }


def collate_examples(examples: list[Batch]) -> Batch:
    """``{"sources": (B, S, C, L), "songs": B lists of S names, "index": B numbers}``: tensors stacked, else listed."""
    columns = {name: [example[name] for example in examples] for name in examples[0]}
    return {name: torch.stack(c) if isinstance(c[0], torch.Tensor) else c for name, c in columns.items()}


def collate_song(songs: list[Batch]) -> Batch:
    """The only song of the list, with a batch axis: ``{"song", "mixture": (1, C, L), "sources": (1, S, C, L)}``."""
    (song,) = songs
    return {"song": song["song"], "mixture": song["mixture"][None], "sources": song["sources"][None]}


def _one_thread(worker: int) -> None:
    torch.set_num_threads(1)
