"""What is played: notes in beats, and parts of one instrument each."""

from collections.abc import Sequence
from dataclasses import dataclass

DRUM_PROGRAM = -1  # the part is drums: its pitches are General MIDI's drum keys
BASS_PROGRAMS = range(32, 40)


@dataclass(frozen=True)
class Note:
    """A note: where it starts and how long it is, in beats; its MIDI pitch, and its velocity 1 … 127."""

    start_beats: float
    length_beats: float
    pitch: int
    velocity: int


@dataclass(frozen=True)
class Part:
    """What one instrument plays.

    Args:
        role: ``drums``, ``bass``, ``band`` (as MMA arranged it), or a kind of line: ``riff``, ``lead`` …
        program: General MIDI's number of an instrument from 0, or ``DRUM_PROGRAM``.
        notes: in any order.
    """

    role: str
    program: int
    notes: Sequence[Note]

    @property
    def source(self) -> str:
        """Which stem the part belongs to."""
        if self.program == DRUM_PROGRAM:
            return "drums"
        return "bass" if self.role == "bass" else "other"
