"""Change the sample rate: of a whole signal, or of a stream, block by block, with the same result."""

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

ZERO_CROSSINGS, ROLLOFF = 6, 0.99  # torchaudio's defaults for `lowpass_filter_width` and `rolloff`
PASS_SAMPLES = 1 << 15  # computed at once; each gathers the 16 and more samples under the kernel


def resample(waveform: Tensor, from_hz: int, to_hz: int) -> Tensor:
    """Resample (…, L) to (…, ceil(L · to / from)), band-limited (Hann-windowed sinc, torchaudio's)."""
    if from_hz == to_hz:
        return waveform
    from torchaudio.functional import resample  # separating, which streams, does without

    return resample(waveform, from_hz, to_hz)


def resample_blocks(blocks: Iterable[Tensor], from_hz: int, to_hz: int) -> Iterator[Tensor]:
    """Resample a stream: together the blocks are what :func:`resample` makes of the whole signal.

    torchaudio's kernel has the two rates' product over their squared common divisor for its size, 8 GB from 44,101 Hz
    to 44,100; here only the taps that are not zero are kept, so that any two rates do.

    Args:
        blocks: (…, any length) each, consecutive parts of one signal of L samples.
        from_hz: sample rate of the blocks.
        to_hz: sample rate of the result.

    Yields:
        (…, any length) each, together ceil(L · to / from) samples.
    """
    if from_hz == to_hz:
        yield from blocks
        return
    divisor = math.gcd(from_hz, to_hz)
    step, phases = from_hz // divisor, to_hz // divisor  # output j stands at input j · step / phases
    kernel = _kernel(step, phases)
    reach = kernel.shape[1] // 2
    held: Tensor | None = None  # the input from `origin` on, with zeros before its start
    origin, received, given = 1 - reach, 0, 0
    for block in blocks:
        held = F.pad(block, (reach - 1, 0)) if held is None else torch.cat([held, block], dim=-1)
        received += block.shape[-1]
        ready = max(given, -(-(received - reach) * phases // step))
        yield from _outputs(held, origin, range(given, ready), step, phases)
        given, passed = ready, ready * step // phases + 1 - reach - origin
        held, origin = held[..., passed:], origin + passed
    if held is not None:
        total = -(-received * phases // step)
        yield from _outputs(F.pad(held, (0, reach)), origin, range(given, total), step, phases)


def _outputs(held: Tensor, origin: int, wanted: range, step: int, phases: int) -> Iterator[Tensor]:
    """Output samples ``wanted`` from the input from ``origin`` on, a pass at a time."""
    kernel = _kernel(step, phases)
    windows = held.unfold(-1, kernel.shape[1], 1) if wanted else held
    for start in range(wanted.start, wanted.stop, PASS_SAMPLES):
        position = torch.arange(start, min(start + PASS_SAMPLES, wanted.stop)) * step
        first = position // phases + 1 - kernel.shape[1] // 2 - origin
        yield (windows[..., first, :] * kernel[position % phases]).sum(-1)


@lru_cache(maxsize=8)
def _kernel(step: int, phases: int) -> Tensor:
    """Taps (phases, 2 · reach): row q weighs the inputs around a point q / phases of a sample after one of them."""
    cutoff = min(step, phases) * ROLLOFF / step  # over the input's Nyquist frequency
    reach = math.ceil(ZERO_CROSSINGS / cutoff) + 1
    offsets = torch.arange(1 - reach, reach + 1, dtype=torch.float64)
    fractions = torch.arange(phases, dtype=torch.float64) / phases
    crossings = ((offsets - fractions[:, None]) * cutoff).clamp(-ZERO_CROSSINGS, ZERO_CROSSINGS)
    hann = torch.cos(crossings * math.pi / (2 * ZERO_CROSSINGS)) ** 2
    return (torch.sinc(crossings) * hann * cutoff).float()
