"""What is played in which style: MMA's grooves for the drums and the band, tempi, harmonies, and instruments.

The grooves named ``zoom:`` are drums alone, the others hold bass, chords and drums. All are in 4/4.
"""

from dataclasses import dataclass, field


def numbered(groove: str, count: int) -> tuple[str, ...]:
    """``zoom:ROCK`` → ``zoom:ROCK01``, ``zoom:ROCK02`` …"""
    return tuple(f"{groove}{number:02d}" for number in range(1, count + 1))


@dataclass(frozen=True)
class Genre:
    """A style.

    Args:
        weight: how often it is drawn.
        tempo_bpm: from, to.
        drums, bands: MMA's grooves.
        harmonies: keys of ``harmony.PROGRESSIONS``.
        kits: keys of ``fonts.KITS``.
        basses: keys of ``sounds.FAMILIES``.
        own_bass: how often the bass plays a line of ours instead of MMA's.
        lines: how often a line of ours plays: riff, lead, arpeggio, pad, strum.
        triplets: whether a beat has three steps; else four.
    """

    weight: float
    tempo_bpm: tuple[float, float]
    drums: tuple[str, ...]
    bands: tuple[str, ...]
    harmonies: tuple[str, ...]
    kits: tuple[str, ...]
    basses: tuple[str, ...]
    own_bass: float = 0.5
    lines: dict[str, float] = field(default_factory=dict)
    triplets: bool = False


_POP_BANDS = tuple(f"casio:{name}" for name in ("8BeatPop1", "8BeatPop2", "8BeatPop3", "Pop", "DancePop1", "DancePop3"))
_ROCK_BANDS = ("casio:PopRock1", "casio:PopRock2", "casio:Rock2", "casio:DigitalRock", "stdlib:BasicRock")

GENRES = {
    "rock": Genre(
        weight=4,
        tempo_bpm=(92, 165),
        drums=numbered("zoom:ROCK", 27) + numbered("zoom:08Beat", 12) + numbered("zoom:PUNK", 2),
        bands=(*_ROCK_BANDS, "stdlib:BasicRockSus", "casio:60sRock", "pflib:rock1A", "pflib:rock1B", "stdlib:SoftRock"),
        harmonies=("major", "minor", "power"),
        kits=("acoustic", "general"),
        basses=("finger", "pick", "pick", "finger", "slap"),
        lines={"riff": 0.75, "lead": 0.5, "strum": 0.3, "pad": 0.15},
    ),
    "metal": Genre(
        weight=2,
        tempo_bpm=(88, 190),
        drums=numbered("zoom:MTL", 4) + numbered("zoom:THRS", 2) + numbered("zoom:HRK", 7),
        bands=("casio:HeavyMetal", "pflib:metal1A", "pflib:metal2A", "pflib:highfiveA"),
        harmonies=("power", "power", "minor"),
        kits=("acoustic", "general"),
        basses=("finger", "pick", "pick"),
        own_bass=0.8,
        lines={"riff": 1.0, "lead": 0.5},
    ),
    "pop": Genre(
        weight=3.5,
        tempo_bpm=(84, 130),
        drums=numbered("zoom:POP", 12) + numbered("zoom:16Beat", 12),
        bands=(*_POP_BANDS, "casio:ElectricPop", "casio:80sPop", "casio:SoulPop", "casio:WorldPop"),
        harmonies=("major", "major", "minor"),
        kits=("acoustic", "general", "electronic"),
        basses=("finger", "pick", "synth bass", "synth bass", "fretless", "slap"),
        lines={"arpeggio": 0.35, "lead": 0.4, "pad": 0.4, "strum": 0.4, "riff": 0.15},
    ),
    "ballad": Genre(
        weight=1.5,
        tempo_bpm=(58, 88),
        drums=numbered("zoom:BALD", 4) + numbered("zoom:08Beat", 12),
        bands=(
            *(f"casio:16BeatBallad{number}" for number in (1, 2, 3)),
            *(f"casio:8BeatBallad{number}" for number in (1, 2, 3)),
            *("casio:PopBallad", "casio:OldieBallad", "stdlib:PopBallad", "stdlib:RockBallad", "stdlib:PianoBallad"),
        ),
        harmonies=("major", "minor", "soul"),
        kits=("acoustic", "general", "soft"),
        basses=("finger", "fretless", "upright", "finger"),
        own_bass=0.3,
        lines={"pad": 0.5, "lead": 0.4, "strum": 0.4, "riff": 0.1},
    ),
    "funk": Genre(
        weight=1.5,
        tempo_bpm=(84, 122),
        drums=numbered("zoom:FUNK", 12) + numbered("zoom:RnB", 10),
        bands=(
            *(f"casio:{name}" for name in ("Funk1", "Funk2", "Soul", "DiscoSoul", "MellowRB", "16Beat1", "16Beat3")),
            *("stdlib:DSoul", "stdlib:Strut", "stdlib:BVFunk"),
        ),
        harmonies=("soul", "vamp"),
        kits=("acoustic", "general"),
        basses=("slap", "finger", "pick", "synth bass"),
        own_bass=0.6,
        lines={"arpeggio": 0.2, "lead": 0.4, "pad": 0.3, "strum": 0.3},
    ),
    "electronic": Genre(
        weight=3,
        tempo_bpm=(100, 174),
        drums=numbered("zoom:TECH", 10) + numbered("zoom:HOUS", 4) + numbered("zoom:DANC", 6) + numbered("zoom:DnB", 6),
        bands=(
            *(f"casio:{name}" for name in ("House", "Techno", "Dance2", "Rave", "Trance1", "DancePop2")),
            *("stdlib:Trance", "stdlib:Trance1", "alexis:TeamTechno"),
        ),
        harmonies=("minor", "vamp", "major"),
        kits=("electronic",),
        basses=("synth bass", "synth bass", "synth bass", "sub"),
        own_bass=0.7,
        lines={"arpeggio": 0.8, "pad": 0.7, "lead": 0.5},
    ),
    "hiphop": Genre(
        weight=2,
        tempo_bpm=(68, 104),
        drums=numbered("zoom:HIP", 23) + numbered("zoom:TRIP", 4),
        bands=("casio:Hip-Hop", "casio:TripHop", "alexis:HipHop", "casio:Slow16Beat", "casio:MellowRB"),
        harmonies=("vamp", "minor", "soul"),
        kits=("electronic", "general"),
        basses=("synth bass", "sub", "sub", "finger"),
        own_bass=0.8,
        lines={"arpeggio": 0.5, "pad": 0.5, "lead": 0.4},
    ),
    "folk": Genre(
        weight=1.5,
        tempo_bpm=(84, 135),
        drums=numbered("zoom:CNTR", 4) + numbered("zoom:08Beat", 12),
        bands=(
            "stdlib:FolkRock",
            "stdlib:SlowCountry",
            "stdlib:HillCountry",
            "casio:8Beat1",
            "casio:8Beat2",
            "casio:60sPop",
        ),
        harmonies=("major",),
        kits=("acoustic", "general", "soft"),
        basses=("upright", "finger", "fretless"),
        own_bass=0.3,
        lines={"strum": 0.8, "lead": 0.4, "riff": 0.1},
    ),
    "reggae": Genre(
        weight=0.75,
        tempo_bpm=(70, 150),
        drums=numbered("zoom:REGG", 4) + numbered("zoom:SKA", 4) + numbered("zoom:LATN", 12),
        bands=("stdlib:Ska", "stdlib:Ska1", "casio:LatinFusion", "casio:WorldPop"),
        harmonies=("major", "minor", "vamp"),
        kits=("acoustic", "general"),
        basses=("finger", "fretless", "finger"),
        own_bass=0.7,
        lines={"lead": 0.5, "pad": 0.3, "strum": 0.3},
    ),
    "shuffle": Genre(
        weight=1,
        tempo_bpm=(76, 140),
        drums=numbered("zoom:SHFL", 5) + numbered("zoom:BLUS", 3),
        bands=("casio:Blues", "casio:ShuffleRock", "casio:PopShuffle1", "casio:PopShuffle2", "casio:ShuffleBoogie"),
        harmonies=("blues", "blues", "major"),
        kits=("acoustic", "general"),
        basses=("finger", "pick", "upright"),
        own_bass=0.2,
        lines={"lead": 0.6, "riff": 0.3},
        triplets=True,
    ),
}
