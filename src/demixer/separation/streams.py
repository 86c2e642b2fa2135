"""Streams of blocks (…, any length): several at the same pace."""

from collections.abc import Iterable, Iterator

from torch import Tensor


def in_step(*streams: Iterable[Tensor]) -> Iterator[tuple[Tensor, ...]]:
    """Cut streams at common places; each of the tuples holds one block of every stream, all of one length.

    A stream is only drawn on when its last block is used up. The end of the shortest ends all.
    """
    iterators = [iter(stream) for stream in streams]
    held: list[Tensor | None] = [None] * len(iterators)
    while True:
        for index, iterator in enumerate(iterators):
            while held[index] is None or held[index].shape[-1] == 0:
                if (block := next(iterator, None)) is None:
                    return
                held[index] = block
        samples = min(block.shape[-1] for block in held)
        yield tuple(block[..., :samples] for block in held)
        held = [block[..., samples:] for block in held]


def drop_first(blocks: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    """The stream without its first samples."""
    for block in blocks:
        passed = min(samples, block.shape[-1])
        samples -= passed
        yield block[..., passed:]


def keep_first(blocks: Iterable[Tensor], samples: int) -> Iterator[Tensor]:
    """The stream's first samples; nothing is drawn that is not needed for them."""
    iterator = iter(blocks)
    while samples and (block := next(iterator, None)) is not None:
        yield block[..., :samples]
        samples -= min(samples, block.shape[-1])
