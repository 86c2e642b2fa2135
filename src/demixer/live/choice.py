"""What the user wants to hear, checked before a sample is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.live.desk import REST, Desk, gain_of


@dataclass(frozen=True)
class Choice:
    """Which stems are heard, and how loud.

    Args:
        targets: these alone; None: everything that is not muted.
        two_stems: a stem; it and everything else come out in channels of their own, one after the other.
        mute: stems that are not heard.
        gains_db: of stems, or of the rest (:class:`Desk`).
        changes: whether gains can be changed while it plays.

    Raises:
        UserError: two of them contradict each other.
    """

    targets: Sequence[str] | None = None
    two_stems: str | None = None
    mute: Sequence[str] = ()
    gains_db: Mapping[str, float] = field(default_factory=dict)
    changes: bool = False

    def __post_init__(self) -> None:
        if self.targets and self.two_stems:
            raise UserError("`--two-stems` names the stem that stands apart: leave `--target` out")

    def computed(self, of_model: Sequence[str]) -> tuple[str, ...]:
        """The stems that are needed, in the model's order: what only others need is not computed.

        Raises:
            UserError: the model has no such target, or nothing would be changed.
        """
        named = {*(self.targets or ()), *filter(None, [self.two_stems])}
        heard = {*self.mute, *self.gains_db} - ({REST} - {*of_model})
        if unknown := sorted((named | heard) - {*of_model}):
            raise UserError(f"the model has no target {', '.join(unknown)}: it separates {', '.join(of_model)}")
        if not (named or self.mute or self.gains_db or self.changes):
            raise UserError(
                "the output would be the mixture itself: say what to hear with `-t`, `--two-stems`, `--mute`, "
                f"`--gain` or `--control`, of {', '.join(of_model)}"
            )
        needed = {*self.targets} if self.targets else {*of_model} if self.changes else (named | heard) or {*of_model}
        return tuple(target for target in of_model if target in needed)

    def desk(self, stems: Sequence[str]) -> Desk:
        """The desk with these stems, as it stands at the beginning.

        Raises:
            UserError: one is to be heard otherwise that is not among them.
        """
        rest = [REST] if self.targets and REST not in self.gains_db else []
        return Desk(stems, self.gains_db, [*self.mute, *rest])

    def buses(self, stems: Sequence[str]) -> Tensor:
        """(B, S + 1) of True where a bus holds a stem, or, last, the rest."""
        first = torch.tensor([[stem == self.two_stems for stem in (*stems, REST)]])
        return torch.cat([first, ~first]) if self.two_stems else ~first


def gains_of(texts: Sequence[str]) -> dict[str, float]:
    """Gains in dB by stem, as they are typed: ``vocals=-6``.

    Raises:
        UserError: one is written otherwise, or no gain.
    """
    gains_db = {}
    for text in texts:
        stem, equals, gain = text.partition("=")
        if not (stem and equals):
            raise UserError(f"`--gain` (={text!r}) must be a stem and dB, as in vocals=-6")
        gains_db[stem] = gain_of(gain)
    return gains_db
