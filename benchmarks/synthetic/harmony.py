"""Chords: Roman numerals → names for MMA, and pitch classes for our own melodies."""

import re
from dataclasses import dataclass

NAMES = ("C", "Db", "D", "Eb", "E", "F", "F#", "G", "Ab", "A", "Bb", "B")
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
_DEGREES = {"I": 0, "II": 2, "III": 4, "IV": 5, "V": 7, "VI": 9, "VII": 11}
_INTERVALS = {
    "": (0, 4, 7),
    "m": (0, 3, 7),
    "7": (0, 4, 7, 10),
    "m7": (0, 3, 7, 10),
    "M7": (0, 4, 7, 11),
    "sus4": (0, 5, 7),
    "5": (0, 7),
}
_NUMERAL = re.compile(r"(?P<flat>b?)(?P<degree>[IV]+|[iv]+)(?P<rest>7|M7|sus4|5|)$")

# In Roman numerals, one for each bar: common property of popular music.
PROGRESSIONS = {
    "major": (
        "I V vi IV",
        "vi IV I V",
        "I vi IV V",
        "I IV V IV",
        "I IV I V",
        "IV I V vi",
        "I iii IV V",
        "I V ii IV",
        "I bVII IV I",
        "I ii IV V",
        "I IV vi V",
        "I I IV V",
    ),
    "minor": (
        "i bVI bIII bVII",
        "i bVII bVI V",
        "i iv bVII bIII",
        "i bVII bVI bVII",
        "i v bVI bVII",
        "i i iv v",
        "i bIII bVII iv",
        "bVI bVII i i",
        "i bVI iv V",
        "i iv i V7",
    ),
    "power": (
        "I5 bVI5 bVII5 I5",
        "I5 bIII5 IV5 bVI5",
        "I5 I5 bII5 I5",
        "I5 bVII5 bVI5 V5",
        "I5 IV5 bIII5 bVII5",
        "I5 I5 bIII5 IV5",
        "I5 V5 bVI5 IV5",
    ),
    "soul": (
        "ii7 V7 IM7 IM7",
        "IM7 IV7 ii7 V7",
        "i7 i7 iv7 iv7",
        "i7 IV7 i7 IV7",
        "IM7 vi7 ii7 V7",
        "iv7 bVII7 IM7 I7",
        "I7 I7 IV7 I7",
        "vi7 ii7 V7 IM7",
    ),
    "blues": ("I7 IV7 I7 I7 IV7 IV7 I7 I7 V7 IV7 I7 V7", "I7 I7 I7 I7 IV7 IV7 I7 I7 ii7 V7 I7 V7", "I7 I7 IV7 V7"),
    "vamp": ("i i i i", "i i bVII bVII", "i bVII i bVII", "I I bVII IV", "i i bVI bVII", "I IV I IV", "i iv i iv"),
}
FAMILY_SCALE = {"minor": "minor", "power": "minor", "vamp": "minor"}  # the others' melodies are in major


@dataclass(frozen=True)
class Chord:
    """A chord in the key of ``tonic``: semitones above it, and the quality as MMA writes it."""

    degree: int
    quality: str

    def name(self, tonic: int) -> str:
        """As MMA reads it.

        >>> chord("bVII7").name(tonic=2)
        'C7'
        """
        return NAMES[(self.degree + tonic) % 12] + self.quality

    def pitch_classes(self, tonic: int) -> tuple[int, ...]:
        """Root first, 0 … 11, where C is 0."""
        return tuple((tonic + self.degree + interval) % 12 for interval in _INTERVALS[self.quality])


def chord(numeral: str) -> Chord:
    """Read a Roman numeral: small letters are minor.

    >>> chord("vi"), chord("IM7").pitch_classes(tonic=0)
    (Chord(degree=9, quality='m'), (0, 4, 7, 11))

    Raises:
        ValueError: it is none.
    """
    found = _NUMERAL.match(numeral)
    if not found or found["degree"].upper() not in _DEGREES:
        raise ValueError(f"chord `{numeral}` is no Roman numeral with b before or 7, M7, sus4, 5 behind it")
    minor = "m" if found["degree"].islower() else ""
    return Chord((_DEGREES[found["degree"].upper()] - bool(found["flat"])) % 12, minor + found["rest"])
