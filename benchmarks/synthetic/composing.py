"""What a song is: its key, tempo, sections and chords, drawn from a genre."""

from dataclasses import dataclass
from random import Random

from synthetic.genres import GENRES, Genre
from synthetic.harmony import FAMILY_SCALE, PROGRESSIONS, SCALES, Chord, chord

BEATS = 4  # of every bar
SONG_SECONDS = (60.0, 115.0)
_FORMS = (
    "intro verse chorus verse chorus bridge chorus chorus verse chorus",
    "verse chorus verse chorus solo chorus verse chorus chorus",
    "intro verse verse chorus verse solo chorus bridge chorus chorus",
    "chorus verse chorus verse bridge chorus solo chorus",
    "intro verse bridge chorus solo verse bridge chorus chorus",
)


@dataclass(frozen=True)
class Section:
    """Some bars of one character.

    Args:
        kind: ``intro``, ``verse``, ``chorus``, ``bridge`` or ``solo``.
        first_bar: counted from 0.
        chords: one for each bar.
        drums, band: MMA's grooves.
    """

    kind: str
    first_bar: int
    chords: tuple[Chord, ...]
    drums: str
    band: str

    @property
    def beats(self) -> range:
        """Of the song, as whole numbers."""
        return range(self.first_bar * BEATS, (self.first_bar + len(self.chords)) * BEATS)


@dataclass(frozen=True)
class Song:
    """A song before its notes; ``tonic`` is 0 … 11, where C is 0, and ``scale`` a key of ``harmony.SCALES``."""

    genre_name: str
    tempo_bpm: float
    tonic: int
    scale: str
    sections: tuple[Section, ...]

    @property
    def genre(self) -> Genre:
        return GENRES[self.genre_name]

    @property
    def bars(self) -> int:
        return sum(len(section.chords) for section in self.sections)

    @property
    def chords(self) -> list[Chord]:
        """One for each bar."""
        return [one for section in self.sections for one in section.chords]

    @property
    def scale_pitches(self) -> tuple[int, ...]:
        """The pitch classes of its melodies, from the tonic on."""
        return tuple((self.tonic + step) % 12 for step in SCALES[self.scale])

    def seconds(self, beats: float) -> float:
        return beats * 60 / self.tempo_bpm


def compose(random: Random) -> Song:
    """Draw a song of one to two minutes."""
    name = random.choices([*GENRES], [genre.weight for genre in GENRES.values()])[0]
    genre = GENRES[name]
    family = random.choice(genre.harmonies)
    tempo_bpm = round(random.uniform(*genre.tempo_bpm), 1)
    wanted_bars = random.uniform(*SONG_SECONDS) * tempo_bpm / 60 / BEATS
    parts = {kind: _material(kind, genre, family, random) for kind in ("verse", "chorus", "bridge")}
    parts["intro"] = (parts["verse"][0][:4], *parts["verse"][1:])
    parts["solo"] = parts[random.choice(("verse", "chorus"))]
    sections: list[Section] = []
    bar = 0
    for kind in random.choice(_FORMS).split():
        chords, drums, band = parts[kind]
        sections.append(Section(kind, bar, chords, drums, band))
        bar += len(chords)
        if bar >= wanted_bars:
            break
    scale = FAMILY_SCALE.get(family, "major")
    return Song(name, tempo_bpm, random.randrange(12), scale, tuple(sections))


def _material(kind: str, genre: Genre, family: str, random: Random) -> tuple[tuple[Chord, ...], str, str]:
    """Chords, drums and band of all sections of one kind: eight bars, or twelve of blues."""
    progression = [chord(numeral) for numeral in random.choice(PROGRESSIONS[family]).split()]
    if kind != "verse" and len(progression) == 4 and random.random() < 0.4:
        progression = [one for one in progression[:2] for _ in range(2)] + progression
    bars = tuple(progression * max(1, 8 // len(progression)))
    return bars, random.choice(genre.drums), random.choice(genre.bands)
