"""Which preset plays a part, and through which amplifier and room, drawn by role and genre."""

from collections.abc import Collection
from random import Random

from demixer.data.augmentations.reverb import Room
from synthetic.fonts import BLACK_PEARL, FLUID, KITS, MUSESCORE, OPL3, RED_ZEPPELIN, Font, Preset
from synthetic.genres import Genre
from synthetic.rendering import Take
from synthetic.studio import Chain

# Kindred presets of General MIDI, as (bank, program).
FAMILIES = {
    "piano": ((0, 0), (0, 1), (0, 2), (0, 3)),
    "electric piano": ((0, 4), (0, 5), (8, 4), (8, 5), (0, 7)),
    "mallet": ((0, 8), (0, 9), (0, 11), (0, 12), (0, 13)),
    "organ": ((0, 16), (0, 17), (0, 18), (8, 16), (8, 17)),
    "steel": ((0, 24), (0, 25), (0, 25), (8, 25)),
    "clean": ((0, 26), (0, 27), (0, 27), (0, 28), (8, 28)),
    "distorted": ((0, 29), (0, 30), (0, 26), (0, 27)),
    "strings": ((0, 44), (0, 48), (0, 49), (0, 50), (0, 51), (8, 50)),
    "brass": ((0, 56), (0, 57), (0, 60), (0, 61), (0, 62), (0, 63)),
    "reed": ((0, 64), (0, 65), (0, 66), (0, 67), (0, 71), (0, 73)),
    "lead": ((0, 80), (0, 81), (0, 81), (0, 84), (0, 86), (0, 90)),
    "pad": ((0, 88), (0, 89), (0, 90), (0, 93), (0, 94), (0, 95), (0, 97), (0, 99)),
    "pluck": ((0, 45), (0, 46), (0, 104), (0, 98), (0, 6), (0, 107)),
    "finger": ((0, 33),),
    "pick": ((0, 34),),
    "fretless": ((0, 35),),
    "slap": ((0, 36), (0, 37)),
    "upright": ((0, 32),),
    "synth bass": ((0, 38), (0, 39), (8, 38), (8, 39), (0, 87)),
    "sub": ((8, 80),),
}
_FAMILY_OF = {program: name for name, presets in FAMILIES.items() for bank, program in presets if bank == 0}
_SYNTHETIC = {"electric piano", "organ", "lead", "pad", "pluck", "mallet", "synth bass"}  # OPL3's chip is a synthesiser
_SAMPLED = (FLUID, FLUID, MUSESCORE)  # the compressed one takes four times as long
_ELECTRIC = {"lead": ("lead", "lead", "mallet", "electric piano"), "arpeggio": ("lead", "pluck", "mallet", "pad")}
_GUITARS = {"lead": ("distorted", "distorted", "organ", "clean"), "arpeggio": ("clean", "steel", "piano")}
_QUIET = {"lead": ("clean", "steel", "strings", "reed", "piano"), "arpeggio": ("clean", "steel", "piano", "pluck")}
_HORNS = {"lead": ("brass", "reed", "organ", "clean"), "arpeggio": ("clean", "electric piano")}
_POP = {"lead": ("lead", "clean", "piano", "strings", "reed"), "arpeggio": ("lead", "pluck", "piano", "clean")}
_LINES = {
    "riff": ("distorted",),
    "pad": ("strings", "pad", "pad", "organ"),
    "strum": ("steel", "steel", "clean"),
}
_BY_GENRE = {
    **dict.fromkeys(("electronic", "hiphop"), _ELECTRIC),
    **dict.fromkeys(("rock", "metal", "shuffle"), _GUITARS),
    **dict.fromkeys(("ballad", "folk"), _QUIET),
    **dict.fromkeys(("funk", "reggae"), _HORNS),
    "pop": _POP,
}
LEVEL_DB = {"riff": (-2, 2), "lead": (-3, 3), "arpeggio": (-8, 0), "pad": (-10, -2), "strum": (-6, 2), "band": (-8, 2)}

Sound = list[tuple[Take, Chain]]  # more than one: the part is played several times, one on each side


def playable(preset: Preset, fonts: Collection[Font]) -> Preset:
    """The preset, or its like in General MIDI's first font where its own is left out."""
    kit_bank = {BLACK_PEARL: 128, RED_ZEPPELIN: 128}
    return preset if preset.font in fonts else Preset(FLUID, kit_bank.get(preset.font, preset.bank), preset.program)


def kit(genre: Genre, random: Random) -> Preset:
    """The drums of a song."""
    return random.choice(KITS[random.choice(genre.kits)])


def percussion(random: Random) -> Preset:
    """For the keys that a recorded kit lacks."""
    return random.choice(KITS["general"])


def drum_chain(random: Random) -> Chain:
    """A kit's saturation, width and room."""
    return Chain(
        drive_db=random.uniform(-14, -2) if random.random() < 0.6 else None,
        width=random.uniform(0.5, 1.4),
        room=_room(random, 0.6, longest_seconds=0.8),
    )


def bass_sound(genre: Genre, random: Random) -> Sound:
    """One bass, in the middle; most are a little saturated."""
    family = random.choice(genre.basses)
    electric = family in ("finger", "pick", "slap", "fretless")
    drive_db = random.uniform(-14, 6) if random.random() < 0.7 else None
    cabinet_hz = random.uniform(2500, 6000) if electric and drive_db is not None and random.random() < 0.6 else None
    width = 0.0 if family == "sub" else random.choice((0.0, 0.3, 1.0))
    preset = _preset(family, random, synthetic=0.2)
    return [(Take(preset), Chain(drive_db, cabinet_hz, width=width, room=_room(random, 0.6, 0.6, less_db=8)))]


def line_sound(role: str, genre_name: str, random: Random) -> Sound:
    """Of a line of ours."""
    families = _LINES.get(role) or _BY_GENRE[genre_name][role]
    return _sound(role, random.choice(families), random)


def band_sound(program: int, random: Random) -> Sound:
    """Of an instrument that MMA asks for, or of a kindred one."""
    return _sound("band", _FAMILY_OF.get(program, ""), random, program)


def _sound(role: str, family: str, random: Random, program: int = 0) -> Sound:
    times = 2 if role == "riff" or (role == "strum" and random.random() < 0.5) else 1
    pan = random.uniform(0.5, 1.0) if times == 2 else random.uniform(-0.8, 0.8) * (role != "pad")
    level_db = random.uniform(*LEVEL_DB[role])
    drive_db, cabinet_hz = _amplifier(role, family, random)
    width = random.uniform(0.8, 1.6)
    room = _room(random, 0.8 if role in ("pad", "lead") else 0.55, 1.6)
    vibrato = random.randint(10, 50) if role == "lead" and random.random() < 0.6 else 0
    sound = []
    for number in range(times):
        preset = _preset(family, random, 0.15) if family else Preset(random.choice(_SAMPLED), 0, program)
        take = Take(preset, 0.010 if times == 2 else 0.006, random.uniform(-4, 4) * (times == 2), vibrato)
        sound.append((take, Chain(drive_db, cabinet_hz, pan * (1 - 2 * number), width, room, level_db)))
    return sound


def _amplifier(role: str, family: str, random: Random) -> tuple[float | None, float | None]:
    """Drive in dB and the cabinet's edge in Hz. Chords of more than two notes bear less drive."""
    if family == "distorted":
        return random.uniform(4, 14) if role in ("band", "strum") else random.uniform(10, 32), random.uniform(
            3800, 7500
        )
    if random.random() < 0.4:
        return random.uniform(-14, -2), None
    return None, None


def _preset(family: str, random: Random, synthetic: float) -> Preset:
    fonts: tuple[Font, ...] = _SAMPLED
    bank, program = random.choice(FAMILIES[family])
    if bank == 0 and family in _SYNTHETIC and random.random() < synthetic:
        fonts = (OPL3,)
    return Preset(random.choice(fonts), bank, program)


def _room(random: Random, probability: float, longest_seconds: float, less_db: float = 0.0) -> Room | None:
    if random.random() >= probability:
        return None
    return Room(
        decay_seconds=random.uniform(0.2, longest_seconds),
        delay_seconds=random.uniform(0, 0.03),
        damping_hz=random.uniform(2000, 8000),
        wet_db=random.uniform(-18, -6) - less_db,
        seed=random.randrange(2**31),
    )
