"""One random stream per purpose and example, so that a batch depends on nothing but the seed and its number."""

import hashlib

import torch
from torch import Generator, Tensor


def generator_for(seed: int, index: int, purpose: str) -> Generator:
    """A CPU generator that is a pure function of its arguments: no worker, process or earlier draw changes it.

    The arguments are hashed, since neighbouring seeds of a Mersenne twister give related streams, and ``seed + index``
    would make run 1 see what run 0 saw one example later. (The twister takes 32 bits of the digest.)
    """
    digest = hashlib.blake2b(f"{seed}/{index}/{purpose}".encode(), digest_size=4).digest()
    return Generator().manual_seed(int.from_bytes(digest, "little"))


def uniform(low: float, high: float, generator: Generator) -> float:
    """One number in [low, high)."""
    return low + (high - low) * torch.rand((), generator=generator, dtype=torch.float64).item()


def integer(low: int, high: int, generator: Generator) -> int:
    """One integer from ``low`` to ``high``, both included."""
    return int(torch.randint(low, high + 1, (), generator=generator).item())


def happens(probability: float, count: int, generator: Generator) -> Tensor:
    """``count`` independent booleans, each true with ``probability``."""
    return torch.rand(count, generator=generator) < probability
