"""What a user changes of a model's windows for one run."""

from dataclasses import astuple, dataclass, replace
from typing import Any

from demixer.errors import UserError
from demixer.separation.separator import Separator

OPTIONS = ("--segment", "--overlap", "--batch-size", "--shifts")  # what sets the fields of Cutting
SEGMENT_SECONDS = (0.1, 120.0)
MOST_OVERLAP = 0.95  # twenty windows over every sample
MOST_WINDOWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Cutting:
    """Changes of :class:`AudioParams`, in the terms of separators; None is the model's own.

    Args:
        segment_seconds: length of a window.
        overlap: share of a window that its neighbour covers, too: 0.5 is a hop of half a window. With a new length
            and no new overlap, the hop remains the same share of the window.
        batch_size: windows computed at once.
        shifts: the mean is taken of this many separations, their windows shifted evenly over a hop.

    Raises:
        UserError: a value is out of bounds.
    """

    segment_seconds: float | None = None
    overlap: float | None = None
    batch_size: int | None = None
    shifts: int | None = None

    def __post_init__(self) -> None:
        lowest, highest = SEGMENT_SECONDS
        if self.segment_seconds is not None and not lowest <= self.segment_seconds <= highest:
            raise UserError(f"`--segment` (={self.segment_seconds:g}) must lie in {lowest:g} … {highest:g} s")
        if self.overlap is not None and not 0 <= self.overlap <= MOST_OVERLAP:
            raise UserError(f"`--overlap` (={self.overlap:g}) must lie in 0 … {MOST_OVERLAP} of a window")
        if self.batch_size is not None and not 1 <= self.batch_size <= MOST_WINDOWS_AT_ONCE:
            raise UserError(f"`--batch-size` (={self.batch_size}) must lie in 1 … {MOST_WINDOWS_AT_ONCE} windows")

    def apply(self, separator: Separator) -> None:
        """Change how a separator cuts songs.

        Raises:
            UserError: its network takes windows of one length only, and another one is wanted; or it has none.
        """
        for option, value in zip(OPTIONS, astuple(self), strict=True):
            if value is not None:
                separator.check_windows(option)
        own, fixed = separator.audio_params, getattr(separator.network, "window_samples", None)
        window_seconds = separator.window_samples / separator.sample_rate_hz if fixed else own.window_seconds
        if self.segment_seconds is not None:
            if fixed:
                raise UserError(
                    f"`--segment` (={self.segment_seconds:g}): the model's network takes windows of "
                    f"{window_seconds:.3f} s and no others: leave it out"
                )
            window_seconds = self.segment_seconds
        changes: dict[str, Any] = {"batch_size": self.batch_size, "shifts": self.shifts}
        if self.segment_seconds is not None or self.overlap is not None:
            kept = 1 - own.hop_seconds / own.window_seconds if self.overlap is None else self.overlap
            changes |= {"window_seconds": window_seconds, "hop_seconds": window_seconds * (1 - kept)}
        separator.audio_params = replace(own, **{name: value for name, value in changes.items() if value is not None})
