"""The mixing desk: how loud each stem is heard, and the lines that change it while it plays."""

import math
from collections.abc import Iterable, Mapping, Sequence

from demixer.errors import UserError

REST = "rest"  # what none of the stems has of the mixture
LARGEST_DB = 20.0
COMMANDS = "STEM DB, mute STEM …, unmute STEM …, solo STEM …, reset"


class Desk:
    """Gains of the stems, and of what they leave of the mixture, the rest.

    One thread changes them while another reads :attr:`gains`.

    Args:
        stems: names of the stems.
        gains_db: of some of them, or of the rest; the others are heard as they are.
        muted: those that are not heard.

    Attributes:
        names: of the stems, in their order, and of the rest.
        gains: factors, one for each name.

    Raises:
        UserError: a name is unknown, or a gain is none.

    >>> desk = Desk(["vocals", "bass"], {"bass": -20}, ["vocals"])
    >>> desk.names, desk.gains
    (('vocals', 'bass', 'rest'), (0.0, 0.1, 1.0))
    >>> desk.do("solo vocals")
    >>> desk.gains
    (1.0, 0.0, 0.0)
    >>> desk.do("reset")
    >>> desk.gains
    (0.0, 0.1, 1.0)
    """

    def __init__(
        self, stems: Sequence[str], gains_db: Mapping[str, float] | None = None, muted: Iterable[str] = ()
    ) -> None:
        self.names = (*stems, REST)
        for name, gain_db in (gains_db or {}).items():
            self._check(name)
            check_gain(gain_db)
        self._start = dict(gains_db or {}), self._known(muted)
        self._reset()

    def do(self, line: str) -> None:
        """Change what a line says; an empty one changes nothing.

        Args:
            line: a stem and its gain in dB (which unmutes it, too), or a command: ``mute``, ``unmute`` and ``solo``
                with stems, ``reset`` to how it began.

        Raises:
            UserError: it is no such line; nothing has changed.
        """
        verb, *stems = line.split() or [""]
        if verb in ("mute", "unmute", "solo") and stems:
            known = self._known(stems)
            others = {*self.names} - known
            self._muted = {"mute": self._muted | known, "unmute": self._muted - known, "solo": others}[verb]
        elif verb == "reset" and not stems:
            self._reset()
            return
        elif len(stems) == 1:
            self._check(verb)
            self._gains_db = {**self._gains_db, verb: gain_of(stems[0])}
            self._muted = self._muted - {verb}
        elif verb:
            raise UserError(f"`{line.strip()}` is none of {COMMANDS}")
        self._settle()

    def _reset(self) -> None:
        self._gains_db, self._muted = self._start
        self._settle()

    def _settle(self) -> None:
        factors = (0.0 if name in self._muted else 10 ** (self._gains_db.get(name, 0) / 20) for name in self.names)
        self.gains = tuple(factors)

    def _known(self, names: Iterable[str]) -> set[str]:
        names = {*names}
        for name in sorted(names):
            self._check(name)
        return names

    def _check(self, name: str) -> None:
        if name not in self.names:
            raise UserError(f"there is no stem {name} to be heard: there are {', '.join(self.names)}")


def gain_of(text: str) -> float:
    """A gain in dB, as it is typed.

    Raises:
        UserError: it is no number, or far too loud.
    """
    try:
        gain_db = float(text.lower().removesuffix("db"))
    except ValueError as error:
        raise UserError(f"the gain {text!r} is no number of dB: as in -6") from error
    check_gain(gain_db)
    return gain_db


def check_gain(gain_db: float) -> None:
    """Refuse what would hurt ears, and what is no number; minus infinity is silence."""
    if math.isnan(gain_db) or gain_db > LARGEST_DB:
        raise UserError(f"the gain {gain_db:g} dB must be at most {LARGEST_DB:g}: lower the others instead")
