"""The sound fonts: which, where they are, under which licence, and which drum kits they hold."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demixer.errors import UserError

FOLDERS = (Path("/usr/share/sounds/sf2"), Path("/usr/share/sounds/sf3"), Path("/usr/share/soundfonts"))
PROGRAMS = {"fluidsynth": "fluidsynth", "mma": "mma"}  # and Debian's packages of them


@dataclass(frozen=True)
class Font:
    """A sound font: its file, Debian's package of it, and the licence in that package's ``copyright``."""

    file: str
    package: str
    licence: str


FLUID = Font("FluidR3_GM.sf2", "fluid-soundfont-gm", "MIT")
MUSESCORE = Font("MuseScore_General_Full.sf3", "musescore-general-soundfont", "MIT, parts CC0 or public domain")
BLACK_PEARL = Font("Black_Pearl_4_LV2.sf2", "avldrums.lv2-soundfont", "CC BY-SA 3.0")
RED_ZEPPELIN = Font("Red_Zeppelin_4_LV2.sf2", "avldrums.lv2-soundfont", "CC BY-SA 3.0")
OPL3 = Font("OPL-3_FM_128M.sf2", "opl3-soundfont", "CC BY-SA 4.0")
PERMISSIVE = (FLUID, MUSESCORE)
SHARE_ALIKE = (BLACK_PEARL, RED_ZEPPELIN, OPL3)


@dataclass(frozen=True)
class Preset:
    """A sound of a font; ``bank`` 128 holds General MIDI's drum kits."""

    font: Font
    bank: int
    program: int


KITS = {
    "acoustic": (Preset(BLACK_PEARL, 0, 0), Preset(RED_ZEPPELIN, 0, 0)),  # 28 keys, which General MIDI's names fit
    "general": tuple(Preset(font, 128, number) for font in (FLUID, MUSESCORE) for number in (0, 1, 3, 8, 10, 16, 17)),
    "soft": tuple(Preset(font, 128, number) for font in (FLUID, MUSESCORE) for number in (32, 40)),
    "electronic": tuple(Preset(font, 128, number) for font in (FLUID, MUSESCORE) for number in (24, 25, 25)),
}
ACOUSTIC_KEYS = frozenset({36, 37, 38, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 53, 55, 57, 59})


def locate(
    fonts: Sequence[Font] = PERMISSIVE + SHARE_ALIKE,
    folders: Sequence[Path] = FOLDERS,
    programs: Mapping[str, str] = PROGRAMS,
) -> dict[Font, Path]:
    """Where the fonts are, once the programs are there, too.

    Raises:
        UserError: a program or a font is missing; it names the packages.
    """
    lacking = [package for program, package in programs.items() if shutil.which(program) is None]
    found: dict[Font, Path] = {}
    for font in fonts:
        path = next((folder / font.file for folder in folders if (folder / font.file).is_file()), None)
        if path is None:
            lacking.append(font.package)
        else:
            found[font] = path
    if lacking:
        raise UserError(f"programs or sound fonts are missing: apt-get install {' '.join(dict.fromkeys(lacking))}")
    return found
