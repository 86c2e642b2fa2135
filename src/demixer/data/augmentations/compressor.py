"""Loud and quiet nearer to each other, as in a mastered stem."""

from dataclasses import dataclass, replace
from itertools import accumulate
from math import exp, log10

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from demixer.data.augmentations.checks import check_probability
from demixer.data.randomness import uniform

_BLOCK_SAMPLES = 64  # 1.5 ms: the gain moves more slowly, and a recursion over blocks is as fast in Python as any
_SILENCE = 1e-6  # −120 dBFS


@dataclass(frozen=True)
class Setting:
    """A compressor's knobs.

    Args:
        threshold_db: peak level above which the gain is reduced.
        ratio: dB in for one dB out above the threshold, at least 1.
        attack_seconds: in which the gain falls by 63 % of what it must.
        release_seconds: in which it recovers by as much.
    """

    threshold_db: float
    ratio: float
    attack_seconds: float
    release_seconds: float


def compressor(audio: Tensor, setting: Setting, sample_rate_hz: int) -> Tensor:
    """Compress (C, L), all channels by the same gain, so that the sides keep their balance.

    Feed-forward with a hard knee, smoothed in dB (Giannoulis, Massberg & Reiss 2012, "Digital dynamic range compressor
    design", JAES 60(6), equations 4 and 16): the reduction of each block's peak, smoothed with the attack where it
    grows and with the release where it shrinks, and straight lines between the blocks' middles. It begins where the
    first block wants it, as if the sound had been there before.
    """
    samples = audio.shape[-1]
    if samples == 0:
        return audio
    blocks = F.pad(audio, (0, -samples % _BLOCK_SAMPLES)).unflatten(-1, (-1, _BLOCK_SAMPLES))
    level_db = 20 * blocks.abs().amax((0, 2)).clamp_min(_SILENCE).log10()
    wanted_db = (level_db - setting.threshold_db).clamp_min(0) * (1 - 1 / setting.ratio)
    reduction_db = torch.tensor(_smoothed(wanted_db.tolist(), setting, sample_rate_hz), dtype=audio.dtype)
    by_sample = F.interpolate(reduction_db[None, None], scale_factor=_BLOCK_SAMPLES, mode="linear")[0, 0, :samples]
    return audio * 10 ** (-by_sample.to(audio.device) / 20)


def _smoothed(wanted_db: list[float], setting: Setting, sample_rate_hz: int) -> list[float]:
    """One pole, with one time constant upwards and another downwards; which makes it nonlinear, and no filter."""
    attack, release = (
        exp(-_BLOCK_SAMPLES / (max(seconds, 1e-6) * sample_rate_hz))
        for seconds in (setting.attack_seconds, setting.release_seconds)
    )
    return [*accumulate(wanted_db, lambda now, wanted: wanted + (attack if wanted > now else release) * (now - wanted))]


@dataclass(frozen=True)
class Compressor:
    """Compress a stem at random, with a threshold below its own peak, so that it works on quiet stems as on loud ones.

    Args:
        min_depth_db: the threshold lies at least so far below the stem's peak.
        max_depth_db: and at most so far.
        min_ratio: least ratio, at least 1.
        max_ratio: highest ratio.
        probability: how often.
    """

    min_depth_db: float = 6.0
    max_depth_db: float = 24.0
    min_ratio: float = 2.0
    max_ratio: float = 8.0
    probability: float = 0.2

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if not 0 <= self.min_depth_db <= self.max_depth_db:
            raise ValueError(
                f"`min_depth_db` (={self.min_depth_db}) and `max_depth_db` (={self.max_depth_db}) must be ordered, not"
                " negative"
            )
        if not 1 <= self.min_ratio <= self.max_ratio:
            raise ValueError(
                f"`min_ratio` (={self.min_ratio}) and `max_ratio` (={self.max_ratio}) must be ordered and at least 1"
            )

    def draw(self, generator: Generator) -> Setting:
        """Knobs; the threshold is relative to the stem's peak. Times from a drum's compressor to a voice's."""
        return Setting(
            -uniform(self.min_depth_db, self.max_depth_db, generator),
            uniform(self.min_ratio, self.max_ratio, generator),
            uniform(0.002, 0.05, generator),
            uniform(0.05, 0.4, generator),
        )

    def input_samples(self, output_samples: int, drawn: Setting, sample_rate_hz: int) -> int:
        """The length stays."""
        return output_samples

    def apply(self, audio: Tensor, drawn: Setting, sample_rate_hz: int) -> Tensor:
        """See :func:`compressor`."""
        peak_db = 20 * log10(max(float(audio.abs().max()), _SILENCE))
        return compressor(audio, replace(drawn, threshold_db=peak_db + drawn.threshold_db), sample_rate_hz)
