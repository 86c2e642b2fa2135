"""Change the sample rate: of a whole signal, or of a stream, block by block, with the same result."""

import math
from collections.abc import Iterable, Iterator

import torch
from soxr import ResampleStream
from torch import Tensor

QUALITY = "HQ"  # flat to 20 kHz of 44.1, aliases below −130 dB (benchmarks/resamplers.py)
REACH_SAMPLES = (
    128  # at the lower of two rates, on either side: what is farther away changes a sample by less than 1e-6
)
PASS_SAMPLES = 1 << 16  # handed over at once: soxr keeps a copy


def resample(waveform: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Resample (…, L) to (…, ceil(L · to / from)), band-limited to the lower rate, without a delay."""
    if from_hz == to_hz or not waveform.numel():
        return waveform
    return torch.cat(list(resample_blocks([waveform], from_hz, to_hz)), dim=-1)


def resample_blocks(blocks: Iterable[Tensor], from_hz: int, to_hz: int) -> Iterator[Tensor]:
    """Resample a stream: together the blocks are what :func:`resample` makes of the whole signal, to the last bit.

    Args:
        blocks: (…, any length) each, consecutive parts of one signal of L samples, float32 or float64.
        from_hz: sample rate of the blocks.
        to_hz: sample rate of the result; any two rates do.

    Yields:
        (…, any length) each, together ceil(L · to / from) samples.
    """
    if from_hz == to_hz:
        yield from blocks
        return
    stream: ResampleStream | None = None
    received = given = 0
    for block in blocks:
        if stream is None:
            stream = ResampleStream(from_hz, to_hz, math.prod(block.shape[:-1]), block.numpy().dtype, QUALITY)
        for part in block.split(PASS_SAMPLES, dim=-1):
            received += part.shape[-1]
            resampled = _pass(stream, part)
            given += resampled.shape[-1]
            yield resampled
    if stream is not None:
        # soxr rounds the length to the nearest sample; the silence after the end makes room for the one above.
        silence = block.new_zeros(*block.shape[:-1], math.ceil(from_hz / to_hz))
        total = -(-received * to_hz // from_hz)
        yield _pass(stream, silence, last=True)[..., : total - given]


def _pass(stream: ResampleStream, samples: Tensor, last: bool = False) -> Tensor:
    """What is ready of (…, n): (…, any length)."""
    *leading, length = samples.shape
    interleaved = samples.reshape(math.prod(leading), length).T.contiguous().numpy()
    resampled = torch.from_numpy(stream.resample_chunk(interleaved, last)).T
    return resampled.reshape(*leading, resampled.shape[-1])
