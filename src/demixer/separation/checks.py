"""What can be separated: samples and rates as callers hand them in, refused in a line where they cannot be meant."""

from numbers import Real

import numpy as np
import torch
from torch import Tensor

from demixer.audio.reading import RATES_HZ

MAX_CHANNELS = 2


def check_waveform(waveform: Tensor | np.ndarray) -> Tensor:
    """The waveform (C, L) as a float32 tensor on the CPU.

    Raises:
        ValueError: it is no tensor or array of floating-point samples, not (C, L) with C = 1 or 2, or not finite.
    """
    if not isinstance(waveform, Tensor | np.ndarray):
        raise ValueError(f"`waveform` is of type {type(waveform).__name__}: give a tensor or a numpy array, (C, L)")
    _check_shape(tuple(waveform.shape))
    array = isinstance(waveform, np.ndarray)
    if not (waveform.dtype.kind == "f" if array else waveform.is_floating_point()):
        kind = str(waveform.dtype).removeprefix("torch.")
        scale = {"int16": "divide it by 32768", "int32": "divide it by 2147483648"}.get(kind, "scale it")
        raise ValueError(f"`waveform` is of {kind}: {scale} and convert it, to floating-point samples in ±1")
    with np.errstate(over="ignore"):  # what is beyond float32 is infinite there
        native = np.require(waveform, np.float32, "CW") if array else waveform.detach()  # of any order, also read-only
    samples = torch.as_tensor(native).to("cpu", torch.float32)  # where stems come out, and other rates are computed
    if not samples.isfinite().all():
        channel, sample = (~samples.isfinite()).nonzero()[0].tolist()
        raise ValueError(f"`waveform`: sample {sample} of channel {channel} is infinite or not a number")
    return samples


def check_rate(sample_rate_hz: object) -> int:
    """The sample rate as an integer.

    Raises:
        ValueError: it is no whole number of Hz, or none of sound.
    """
    whole = isinstance(sample_rate_hz, Real) and float(sample_rate_hz).is_integer()
    if not whole or int(sample_rate_hz) not in RATES_HZ:
        rates = f"{RATES_HZ[0]} to {RATES_HZ[-1]}"
        raise ValueError(f"`sample_rate_hz` (={sample_rate_hz!r}) must be a whole number of Hz from {rates}")
    return int(sample_rate_hz)


def _check_shape(shape: tuple[int, ...]) -> None:
    if len(shape) == 2 and 1 <= shape[0] <= MAX_CHANNELS:
        return
    if len(shape) == 1:
        remedy = "a mono waveform is (1, L)"
    elif len(shape) == 2 and 1 <= shape[1] <= MAX_CHANNELS:
        remedy = "channels come first: transpose it"
    elif len(shape) == 2 and shape[0] > MAX_CHANNELS:
        remedy = "mix it down to one or two channels"
    else:
        remedy = "give one song, without a batch"
    raise ValueError(f"`waveform` (of shape {shape}) must be (C, L) with C = 1 or 2: {remedy}")
