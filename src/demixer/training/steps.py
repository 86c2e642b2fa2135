"""Which optimiser steps are taken: those whose gradient is a number."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from demixer.errors import UserError

log = logging.getLogger(__name__)
MOST_NAMES = 8  # of songs in one line


@dataclass(frozen=True)
class Part:
    """What is known of one batch of a step, on the device where it was computed: nothing here waits for it.

    Args:
        songs: of each item of the batch, the songs that it is mixed from.
        losses: the loss's terms.
        heard: (B,) whether the item's mixture is finite.
    """

    songs: Sequence[Sequence[str]]
    losses: Mapping[str, Tensor]
    heard: Tensor

    @classmethod
    def of(cls, batch: Mapping[str, Any], losses: Mapping[str, Tensor]) -> "Part":
        detached = {name: loss.detach() for name, loss in losses.items()}
        return cls(batch["songs"], detached, batch["mixture"].isfinite().flatten(1).all(1))

    def suspects(self) -> list[str]:
        """The songs of the items that are no numbers themselves, or else of all where the loss is none."""
        items = [songs for songs, finite in zip(self.songs, self.heard.tolist(), strict=True) if not finite]
        if not items and not torch.isfinite(sum(self.losses.values())):
            items = self.songs
        return [song for songs in items for song in songs]


@dataclass
class SkippedSteps:
    """Counts the steps that were not taken, and ends a run that takes none any more.

    Args:
        most_in_a_row: so many skipped steps one after the other are the end.
        total: all that were skipped in this run.
    """

    most_in_a_row: int
    total: int = 0
    _in_a_row: int = 0

    def __post_init__(self) -> None:
        self._songs: Counter[str] = Counter()

    def taken(self) -> None:
        """A step was taken: what was skipped before it was no end."""
        self._in_a_row = 0
        self._songs.clear()

    def skip(self, step: int, songs: Sequence[str]) -> None:
        """Count a step that is left out, and warn of it.

        Raises:
            UserError: it is the last of too many.
        """
        self.total += 1
        self._in_a_row += 1
        self._songs.update(dict.fromkeys(songs, 1))
        log.warning("step %d is skipped, its gradient is not finite, on the songs %s", step, ", ".join(self._named()))
        if self._in_a_row >= self.most_in_a_row:
            raise UserError(
                f"the gradients of {self._in_a_row} steps in a row (`max_skipped_steps`) were not finite, the last in "
                f"step {step}, on the songs {', '.join(self._named())}: look at their stems; if they are sound, lower "
                "`optimizer.lr`, or set trainer.precision=32-true, and go on with ckpt_path=last"
            )

    def _named(self) -> list[str]:
        """The songs of this row of steps, the most frequent first."""
        named = [f"{song} ({count}×)" if count > 1 else song for song, count in self._songs.most_common(MOST_NAMES)]
        return [*named, "…"] if len(self._songs) > MOST_NAMES else named


def spread_faults(loss: Tensor) -> Tensor:
    """The loss, whose gradient is NaN where it is no finite number itself.

    An infinite loss may have finite gradients (those of absolute values are ±1). NaN gradients reach the other
    processes with the gradients' sum, and later batches of the same step with the accumulated gradient, so that one
    look at the sum decides alike everywhere.
    """
    return loss * torch.where(loss.detach().isfinite(), 1.0, torch.nan)


def suspects_of(parts: Sequence[Part], world_size: int) -> tuple[list[str], bool]:
    """The songs that a step fails on, over all processes, and whether a loss is not finite; where all are: all songs.

    It waits for the other processes, all of which know by their common gradient that the step has failed.
    """
    suspects = [song for part in parts for song in part.suspects()]
    known = [song for part in parts for songs in part.songs for song in songs]
    everyone: list[Any] = [(suspects, known)]
    if world_size > 1:
        everyone = [None] * world_size
        torch.distributed.all_gather_object(everyone, (suspects, known))
    suspects = [song for some, _ in everyone for song in some]
    return suspects or [song for _, some in everyone for song in some], bool(suspects)


def refuse_broken_weights(checkpoint: Mapping[str, Any], step: int) -> None:
    """Raise a UserError if the weights in a checkpoint, or their average, are not finite."""
    states = [checkpoint["state_dict"], checkpoint.get("current_model_state", {})]
    named = [(name, value) for state in states for name, value in state.items() if value.is_floating_point()]
    weights = [value for name, value in named if not name.endswith("_extra_state")]  # as a loss's memory is
    if not torch.nn.utils.get_total_norm(weights).isfinite():
        raise UserError(
            f"the weights are not finite in step {step}: they are not saved, the checkpoints before are intact; lower "
            "`optimizer.lr` and go on with ckpt_path=last"
        )
