"""How a song is cut into windows."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from demixer.errors import UserError, brief
from demixer.separation.overlap_add import FADES

MOST_SHIFTS = 32  # each holds windows in memory
SHORTEST_SECONDS = 0.01  # of a window: below, each is computed in a transform many times its length
MOST_SECONDS = 600  # computed at once, batch times window: the paper's features of so much stereo are 2 GB
MOST_OVERLAP = 64  # windows over a sample, of which each costs as much as the song; beyond 4 nothing was gained
LARGEST = 10**9  # beyond it, a sum with it may be no number


@dataclass(frozen=True)
class AudioParams:
    """How a song is cut: what a user may turn in a model's ``hparams.yaml`` under ``audio_params``.

    Args:
        window_seconds: length of a window.
        hop_seconds: distance of two windows, at most a window.
        batch_size: windows computed at once.
        fade: weight over a window in the cross-fade: triangle, hann or rectangle.
        shifts: the mean is taken of this many separations, their windows shifted evenly over a hop.

    Raises:
        UserError: a value is impossible or unknown.
    """

    window_seconds: float = 3.0
    hop_seconds: float = 1.5
    batch_size: int = 4
    fade: str = "triangle"
    shifts: int = 1

    def __post_init__(self) -> None:
        for field in fields(self):
            value, kinds = getattr(self, field.name), (int, float) if field.type is float else (field.type,)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise UserError(f"`audio_params.{field.name}` (={brief(value)}) must be of type {field.type.__name__}")
            if isinstance(value, int) and abs(value) > LARGEST:
                raise UserError(f"`audio_params.{field.name}` (={brief(value)}) must be less")
        if not 0 < self.hop_seconds <= self.window_seconds < math.inf:
            raise UserError(
                f"`audio_params.hop_seconds` (={self.hop_seconds}) must be above 0 and at most "
                f"`window_seconds` (={self.window_seconds})"
            )
        if self.window_seconds > MOST_OVERLAP * self.hop_seconds:
            raise UserError(
                f"`audio_params.window_seconds` (={self.window_seconds}) must be at most {MOST_OVERLAP} times "
                f"`hop_seconds` (={self.hop_seconds})"
            )
        if self.batch_size < 1:
            raise UserError(f"`audio_params.batch_size` (={self.batch_size}) must be at least 1")
        if self.batch_size * self.window_seconds > MOST_SECONDS:
            raise UserError(
                f"`audio_params.batch_size` (={self.batch_size}) windows of {self.window_seconds} s are more "
                f"than {MOST_SECONDS} s at once: make one of them smaller"
            )
        if not 1 <= self.shifts <= MOST_SHIFTS:
            raise UserError(f"`audio_params.shifts` (={self.shifts}) must lie in 1 … {MOST_SHIFTS}")
        if self.fade not in FADES:
            raise UserError(f"`audio_params.fade` (={brief(self.fade)}) must be one of {sorted(FADES)}")

    @classmethod
    def from_mapping(cls, params: Mapping[str, Any]) -> Self:
        """What a model's file says, where no window is so short that a song would never end.

        Raises:
            UserError: as above, or a setting is unknown.
        """
        if not isinstance(params, Mapping):
            raise UserError(f"`audio_params` (={brief(params)}) must be settings by name")
        known = [field.name for field in fields(cls)]
        unknown = [name for name in params if name not in known]
        if unknown:
            raise UserError(f"`audio_params` has no setting {brief(unknown)}: known are {known}")
        read = cls(**params)
        if read.window_seconds < SHORTEST_SECONDS:
            raise UserError(
                f"`audio_params.window_seconds` (={read.window_seconds}) must be at least {SHORTEST_SECONDS}"
            )
        return read
