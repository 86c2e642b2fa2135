"""A colour for each source, as plain strings: a page that shows no picture need not wait for matplotlib.

The first are those of Okabe and Ito (Color Universal Design, 2008), without their yellow: white swallows it.
The further ones were chosen one after the other, each as far as possible from all before it, in the eyes of most people
and in the three kinds of colour-blind ones.
"""

from collections.abc import Iterable
from itertools import cycle

COLORS = {
    "mixture": "#4D4D4D",
    "vocals": "#D55E00",
    "drums": "#0072B2",
    "bass": "#009E73",
    "other": "#CC79A7",
    "guitar": "#E69F00",
    "piano": "#56B4E9",
}
FURTHER = ("#9900FF", "#773311", "#99BB66", "#9977FF", "#4433AA", "#663377")
ACCENT, PRESSED, FOCUS = COLORS["vocals"], "#B84F00", COLORS["drums"]  # of what is to be pressed on a page


def color(name: str) -> str:
    """A source's colour; that of the mixture for every other name, such as ``all``."""
    return COLORS.get(name, COLORS["mixture"])


def colors(names: Iterable[str]) -> dict[str, str]:
    """Colours for things that stand side by side: a source has its own, others get the further ones in their order.

    What is left of a mixture has the mixture's.

    >>> colors(["bass", "strings", "wind", "no_bass"])
    {'bass': '#009E73', 'strings': '#9900FF', 'wind': '#773311', 'no_bass': '#4D4D4D'}
    """
    further = cycle(FURTHER)
    return {name: color(name) if name in COLORS or name.startswith("no_") else next(further) for name in names}
