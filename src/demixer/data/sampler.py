"""Which examples make which batch: an endless stream of numbered examples, cut among the processes."""

from collections.abc import Callable, Iterator, Sized

from torch.utils.data import DistributedSampler

from demixer.errors import UserError


class StreamSampler(DistributedSampler[int]):
    """Numbers of training examples that go on from where training stands.

    The stream 0, 1, 2, … is cut into global batches of ``world_size · batch_size`` numbers, and each of them into one
    slice for each process: two processes with batch b see together what one process with batch 2b sees. Iterating
    starts at the global batch number ``position()``, which the trainer counts and stores in its checkpoints, so
    neither epochs nor workers that read ahead nor a kill within an epoch shift it.

    It is a DistributedSampler only so that Lightning sees that the sampler knows the processes, and leaves it alone.

    Args:
        dataset: Its length is the number of examples in an epoch; the last incomplete batch is left out.
        batch_size: Examples in a batch of one process.
        rank: Number of this process.
        world_size: Number of processes.
        position: How many batches training has used up; asked whenever iteration starts.
    """

    def __init__(
        self, dataset: Sized, batch_size: int, rank: int, world_size: int, position: Callable[[], int] = lambda: 0
    ) -> None:
        super().__init__(dataset, num_replicas=world_size, rank=rank, shuffle=False, drop_last=True)
        self.batch_size = batch_size
        self.position = position
        self.batches = len(dataset) // (batch_size * world_size)
        if self.batches == 0:
            raise UserError(
                f"`samples_per_epoch` (={len(dataset)}) must be at least one batch of each process"
                f" (={batch_size} × {world_size})"
            )

    def __len__(self) -> int:
        return self.batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        """An epoch's worth of numbers; a trainer that resumed within an epoch stops before the end of it."""
        start = self.position()
        for batch in range(start, start + self.batches):
            first = (batch * self.num_replicas + self.rank) * self.batch_size
            yield from range(first, first + self.batch_size)


class ShardSampler(DistributedSampler[int]):
    """Every ``world_size``-th example from ``rank`` on; unlike its parent it repeats none to make shards equal.

    Only a process that would have none gets one that another has too: Lightning skips a validation without batches,
    with the collective operations in it, on which the other processes would wait.
    """

    def __init__(self, dataset: Sized, rank: int, world_size: int) -> None:
        super().__init__(dataset, num_replicas=world_size, rank=rank, shuffle=False)
        self.examples = range(rank, len(dataset), world_size) or [rank % len(dataset)]

    def __len__(self) -> int:
        return len(self.examples)

    def __iter__(self) -> Iterator[int]:
        return iter(self.examples)
