"""Which songs are validated on: the official ones, those that are named, or a fraction that a hash chooses.

Songs that are held out are neither trained nor validated on: they chose nothing, so what is measured on them is true.
"""

import hashlib
from collections.abc import Collection, Sequence
from difflib import get_close_matches

from demixer.errors import UserError

SPLITS = ("train", "valid", "held-out")
VALIDATION_FOLDER = "validation/"  # how songs are named that their dataset validates on

Valid = Collection[str] | float | str | None

# The validation songs of MUSDB18, as `validation_tracks` in configs/mus.yaml of the package musdb 0.4.3 names them
# (copied, because importing musdb needs the ffmpeg program).
MUSDB_VALIDATION_SONGS = frozenset(
    {
        "ANiMAL - Rockshow",
        "Actions - One Minute Smile",
        "Alexander Ross - Goodbye Bolero",
        "Clara Berry And Wooldog - Waltz For My Victims",
        "Fergessen - Nos Palpitants",
        "James May - On The Line",
        "Johnny Lokke - Promises & Lies",
        "Leaf - Summerghost",
        "Meaxic - Take A Step",
        "Patrick Talbot - A Reason To Leave",
        "Skelpolu - Human Mistakes",
        "Traffic Experiment - Sirens",
        "Triviul - Angelsaint",
        "Young Griffo - Pennies",
    }
)


def validation_names(names: Collection[str], valid: Valid = None) -> set[str]:
    """Those of the songs ``names`` that are validated on.

    Args:
        names: Of all songs.
        valid: The names of the validation songs, none of them for an empty list; or the fraction of songs to
            validate on, chosen by a hash of the name alone, so that a song stays where it is when others come or go;
            None: the official ones if any of them is here, those of MUSDB18 and of datasets that have a folder for
            them (Slakh2100), otherwise a tenth.

    Raises:
        UserError: a song of ``valid`` is not here, or the fraction is none.
    """
    names = set(names)
    if valid is None:
        valid = {name for name in names if name in MUSDB_VALIDATION_SONGS or name.startswith(VALIDATION_FOLDER)} or 0.1
    if isinstance(valid, float | int):
        return _share(names, valid)
    return songs_named(names, valid, "valid")


def songs_named(names: Collection[str], wanted: Collection[str] | str, setting: str) -> set[str]:
    """The names that a setting wants.

    Raises:
        UserError: a song is not here.
    """
    wanted = {wanted} if isinstance(wanted, str) else set(map(str, wanted))  # a folder named 17 comes as a number
    if unknown := sorted(wanted - set(names)):
        raise UserError(f"`{setting}` names {len(unknown)} song(s) that are not here: {_told(unknown, sorted(names))}")
    return wanted


def _share(names: set[str], fraction: float) -> set[str]:
    if not 0 <= fraction <= 1:
        raise UserError(f"`valid` (={fraction}) must be the names of songs, or a fraction in 0…1")
    chosen = {name for name in names if _hash(name) < fraction}
    if not chosen and fraction > 0 and len(names) > 1:  # few songs: one is still needed
        chosen = {min(names, key=_hash)}
    return chosen


def _told(unknown: Sequence[str], names: Sequence[str]) -> str:
    """Each unknown name, with the known ones that it may have meant: spelt alike, or in another folder."""
    lower = {name.lower(): name for name in names}
    told = []
    for name in unknown:
        near = [lower[one] for one in get_close_matches(name.lower(), lower, n=2)]
        near += [one for one in names if one.endswith(f"/{name}") and one not in near][:2]
        told.append(f"`{name}`" + (f" (did you mean {' or '.join(f'`{one}`' for one in near)}?)" if near else ""))
    return ", ".join(told)


def _hash(name: str) -> float:
    """A number in [0, 1) that depends on the name alone (``hash`` differs from process to process)."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:6]) / 2**48
