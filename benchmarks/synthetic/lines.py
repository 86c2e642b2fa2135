"""Lines of our own, where MMA's grooves have little: basses, guitar riffs, leads, arpeggios, pads and strumming.

A line repeats a rhythm, drawn once for each kind of section, and takes its pitches from the chord of each bar.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from synthetic.composing import BEATS, Section, Song
from synthetic.notes import Note


@dataclass(frozen=True)
class Step:
    """A stroke of a rhythm, in beats of the bar, and whether it is accented."""

    start_beats: float
    length_beats: float
    accent: bool


def bass_line(song: Song, random: Random) -> list[Note]:
    """Roots, fifths and octaves below about 200 Hz."""
    density = random.choice((0.25, 0.5, 0.6, 0.9))
    lowest = random.choice((28, 28, 26, 24, 31))  # E1, as on four strings; D, C, as on five; G
    return [
        Note(at, length, lowest + (root - lowest) % 12 + _bass_interval(step, random), _velocity(step, random, 96))
        for _, step, at, length, chord in _strokes(song, random, density)
        for root in chord[:1]
    ]


def _bass_interval(step: Step, random: Random) -> int:
    return 0 if step.accent else random.choices((0, 7, 12, 10, 5), (6, 1, 1.2, 0.4, 0.3))[0]


def riff(song: Song, random: Random) -> list[Note]:
    """Power chords, on the low strings of a guitar: short ones where they are dense."""
    density = random.choice((0.3, 0.5, 0.75, 1.0))
    octave = random.random() < 0.5
    notes = []
    for _, step, at, length, chord in _strokes(song, random, density):
        root = 40 + (chord[0] - 40) % 12
        muted = density > 0.6 and not step.accent
        for pitch in (root, root + 7, *([root + 12] if octave else ())):
            notes.append(
                Note(at, length * (0.45 if muted else 0.95), pitch, _velocity(step, random, 88 if muted else 108))
            )
    return notes


def arpeggio(song: Song, random: Random) -> list[Note]:
    """The notes of the chord one after the other, in even steps."""
    step_beats = random.choice((1 / 3, 2 / 3) if song.genre.triplets else (0.25, 0.25, 0.5))
    lowest, order = (
        random.choice((48, 55, 60, 67)),
        random.choice(((0, 1, 2, 3), (0, 2, 1, 2), (0, 1, 2, 1), (3, 2, 1, 0))),
    )
    gate = random.uniform(0.4, 1.2)
    notes = []
    for bar, chord in enumerate(song.chords):
        pitches = _voicing(chord.pitch_classes(song.tonic), lowest, 4)
        for number in range(round(BEATS / step_beats)):
            pitch = pitches[order[number % len(order)]]
            velocity = 84 + 16 * (number % 4 == 0) + random.randint(-8, 8)
            notes.append(Note(bar * BEATS + number * step_beats, step_beats * gate, pitch, velocity))
    return notes


def pad(song: Song, random: Random) -> list[Note]:
    """Chords held for a bar."""
    lowest, voices = random.choice((48, 53, 57, 60)), random.choice((3, 4, 5))
    return [
        Note(bar * BEATS, BEATS * 0.98, pitch, 80 + random.randint(-6, 6))
        for bar, chord in enumerate(song.chords)
        for pitch in _voicing(chord.pitch_classes(song.tonic), lowest, voices)
    ]


def strum(song: Song, random: Random) -> list[Note]:
    """Chords on all strings of a guitar, down and up, a string after the other."""
    notes = []
    string_beats = random.uniform(0.008, 0.02) * song.tempo_bpm / 60
    for number, step, at, length, chord in _strokes(song, random, random.choice((0.5, 0.7, 0.9))):
        pitches = _voicing(chord, 43, 6)
        ordered = pitches if number % 2 == 0 else pitches[:2:-1]  # upwards, the high strings alone
        for string, pitch in enumerate(ordered):
            notes.append(Note(at + string * string_beats, length * 0.95, pitch, _velocity(step, random, 84)))
    return notes


def lead(song: Song, random: Random) -> list[Note]:
    """A melody in steps of the scale, which comes to rest on notes of the chord."""
    lowest = random.choice((57, 60, 64, 69))
    pitches = [pitch for pitch in range(lowest, lowest + 20) if pitch % 12 in song.scale_pitches]
    place, notes = len(pitches) // 2, []
    for _, step, at, length, chord in _strokes(song, random, random.choice((0.35, 0.5, 0.7)), rest=0.15):
        place = min(max(place + random.choice((-2, -1, -1, 0, 1, 1, 2, 4, -4)), 0), len(pitches) - 1)
        pitch = pitches[place]
        if step.accent:
            pitch = min((one for one in range(lowest, lowest + 24) if one % 12 in chord), key=lambda p: abs(p - pitch))
        notes.append(Note(at, length * random.uniform(0.8, 1.0), pitch, _velocity(step, random, 96)))
    return notes


def _strokes(
    song: Song, random: Random, density: float, rest: float = 0.0
) -> Iterator[tuple[int, Step, float, float, Sequence[int]]]:
    """Number in the bar, stroke, its place in the song and length in beats, and the chord's pitch classes."""
    rhythms: dict[str, tuple[list[Step], ...]] = {}
    for section in song.sections:
        two = rhythms.setdefault(section.kind, (_rhythm(song, density, random), _rhythm(song, density, random)))
        for bar, chord in enumerate(section.chords):
            for number, step in enumerate(two[bar % 4 == 3]):  # the other one every fourth bar
                if random.random() >= rest:
                    at = (section.first_bar + bar) * BEATS + step.start_beats
                    yield number, step, at, step.length_beats, chord.pitch_classes(song.tonic)


def _rhythm(song: Song, density: float, random: Random) -> list[Step]:
    """Strokes of a bar: on the beat more likely than between, each as long as until the next."""
    per_beat = 3 if song.genre.triplets else random.choice((2, 4, 4))
    places = [0] if random.random() < 0.9 else []
    for place in range(1, BEATS * per_beat):
        chance = density * (1.0 if place % per_beat == 0 else 0.8 if 2 * place % per_beat == 0 else 0.45)
        places += [place] * (random.random() < min(1.0, chance))
    ends = [*places[1:], BEATS * per_beat]
    return [
        Step(place / per_beat, (end - place) / per_beat, place % (2 * per_beat) == 0)
        for place, end in zip(places, ends, strict=False)
    ]


def _voicing(pitch_classes: Sequence[int], lowest: int, voices: int) -> list[int]:
    """The chord's notes from ``lowest`` upwards, the nearest first."""
    return [pitch for pitch in range(lowest, lowest + 40) if pitch % 12 in pitch_classes][:voices]


def _velocity(step: Step, random: Random, middle: int) -> int:
    return min(127, max(1, middle + 10 * step.accent + random.randint(-10, 10)))


LINES = {"riff": riff, "lead": lead, "arpeggio": arpeggio, "pad": pad, "strum": strum}


def fill(section: Section, random: Random) -> Iterator[Note]:
    """A drum fill in the section's last beats, and the cymbal after it."""
    end, beats = section.beats.stop, random.choice((1, 1, 2, 4))
    keys = sorted((random.choice((38, 50, 48, 47, 45, 43, 41)) for _ in range(4 * beats)), reverse=True)
    for number, key in enumerate(keys):
        if random.random() < 0.85:
            yield Note(end - beats + number / 4, 0.2, key, random.randint(80, 120))
    if random.random() < 0.8:
        yield Note(end, 1.0, random.choice((49, 57)), random.randint(95, 125))
