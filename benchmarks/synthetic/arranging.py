"""Which part plays in which section, and with which sound; and the stems that come of it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

from torch import Tensor

from synthetic.accompaniment import accompany
from synthetic.composing import BEATS, Song, compose
from synthetic.fonts import ACOUSTIC_KEYS, BLACK_PEARL, RED_ZEPPELIN, Font
from synthetic.lines import LINES, bass_line, fill
from synthetic.notes import BASS_PROGRAMS, DRUM_PROGRAM, Part
from synthetic.rendering import Take, play
from synthetic.sounds import Sound, band_sound, bass_sound, drum_chain, kit, line_sound, percussion, playable
from synthetic.studio import finish, process

STEMS = ("drums", "bass", "other")
TAIL_SECONDS = 2.0  # in which the last notes fade
_MOST_OTHERS = 4
_FIRST_KEY = 36  # of the recorded kits: General MIDI's other bass drum is one lower
# How often a part plays in a section; what has no line of its own plays as "other".
_PLAYS = {
    "drums": {"intro": 0.5, "verse": 0.95, "chorus": 1.0, "bridge": 0.7, "solo": 1.0},
    "bass": {"intro": 0.5, "verse": 0.95, "chorus": 1.0, "bridge": 0.85, "solo": 1.0},
    "lead": {"intro": 0.4, "verse": 0.2, "chorus": 0.4, "bridge": 0.3, "solo": 1.0},
    "riff": {"intro": 0.6, "verse": 0.75, "chorus": 1.0, "bridge": 0.6, "solo": 0.9},
    "other": {"intro": 0.6, "verse": 0.7, "chorus": 0.95, "bridge": 0.7, "solo": 0.7},
}


def write_song(random: Random, folder: Path) -> tuple[Song, list[Part]]:
    """A song and its parts, each with the notes of the sections in which it plays.

    Args:
        random: draws everything.
        folder: for MMA's files.
    """
    song = compose(random)
    played = accompany(song, folder, random)
    fills = [note for section in song.sections if random.random() < 0.75 for note in fill(section, random)]
    drums = [
        Part("drums", DRUM_PROGRAM, [note for part in played if part.source == "drums" for note in part.notes] + fills)
    ]
    basses = [part for part in played if part.source == "bass"]
    if not basses or random.random() < song.genre.own_bass:
        basses = [Part("bass", BASS_PROGRAMS[0], bass_line(song, random))]
    chosen = [role for role, often in song.genre.lines.items() if random.random() < often]
    lines = [Part(role, 0, LINES[role](song, random)) for role in chosen]
    band = [part for part in played if part.source == "other"]
    random.shuffle(band)
    others = lines + band[: max(1, _MOST_OTHERS - len(lines))]
    return song, _in_sections(song, [*drums, *basses, *others], random)


def _in_sections(song: Song, parts: Sequence[Part], random: Random) -> list[Part]:
    """Parts without the notes of sections in which they rest; one of the others plays in each of them."""
    kinds = dict.fromkeys(section.kind for section in song.sections)
    others = [part for part in parts if part.source == "other"]
    always = {kind: random.choice(others) for kind in kinds if others}
    left = []
    for part in parts:
        chances = _PLAYS.get(part.role, _PLAYS["other"])
        playing = {kind for kind in kinds if random.random() < chances[kind] or part is always.get(kind)}
        beats = {beat for section in song.sections if section.kind in playing for beat in section.beats}
        last = song.bars * BEATS - 1
        left.append(
            replace(part, notes=[one for one in part.notes if min(max(round(one.start_beats), 0), last) in beats])
        )
    return [part for part in left if part.notes]


def record(
    song: Song, parts: Sequence[Part], fonts: dict[Font, Path], folder: Path, random: Random
) -> dict[str, Tensor]:
    """Play the parts: ``{source: (2, L)}`` of ``STEMS``, at MUSDB18's levels; a source that nothing plays is left out.

    Args:
        song: the song.
        parts: of it.
        fonts: where they are.
        folder: for FluidSynth's files.
        random: draws the sounds.
    """
    seconds = song.seconds(song.bars * BEATS) + TAIL_SECONDS
    stems: dict[str, Tensor] = {}
    for part, sound in _voices(song, parts, fonts, random):
        for take, chain in sound:
            preset = playable(take.preset, fonts)
            audio = play(part.notes, replace(take, preset=preset), song.tempo_bpm, seconds, fonts, folder, random)
            if float(audio.abs().max()) > 0:
                stems[part.source] = stems.get(part.source, 0) + process(audio, chain)
    return {source: finish(stems[source], source, random) for source in STEMS if source in stems}


def _voices(song: Song, parts: Sequence[Part], fonts: Collection[Font], random: Random) -> Iterator[tuple[Part, Sound]]:
    for part in parts:
        if part.source == "drums":
            yield from _drums(song, part, fonts, random)
        elif part.source == "bass":
            yield part, bass_sound(song.genre, random)
        elif part.role == "band":
            yield part, band_sound(part.program, random)
        else:
            yield part, line_sound(part.role, song.genre_name, random)


def _drums(song: Song, part: Part, fonts: Collection[Font], random: Random) -> Iterator[tuple[Part, Sound]]:
    """The kit, and, where it is a recorded one, what it lacks on another."""
    preset, chain = playable(kit(song.genre, random), fonts), drum_chain(random)
    if preset.font not in (BLACK_PEARL, RED_ZEPPELIN):
        yield part, [(Take(preset), chain)]
        return
    notes = [replace(note, pitch=_FIRST_KEY) if note.pitch == _FIRST_KEY - 1 else note for note in part.notes]
    yield replace(part, notes=[note for note in notes if note.pitch in ACOUSTIC_KEYS]), [(Take(preset), chain)]
    if lacking := [note for note in notes if note.pitch not in ACOUSTIC_KEYS]:
        placed = replace(chain, pan=random.uniform(-0.6, 0.6), level_db=random.uniform(-16, -8))
        yield replace(part, notes=lacking), [(Take(percussion(random)), placed)]
