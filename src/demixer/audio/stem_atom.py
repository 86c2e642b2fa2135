"""The atom by which players know a stem file: names and colours of its streams, as JSON in ``moov/udta/stem``.

Native Instruments' Stem specification; streams follow the mixture in the order of the list.
"""

import json
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

COLOURS = ("#009E73", "#D55E00", "#CC79A7", "#56B4E9")  # Okabe and Ito's, which colour-blind people tell apart
# The player's mastering chain, which the specification asks for; it is off, since a mixture is mastered already.
COMPRESSOR = {
    "enabled": False,
    "input_gain": 0.5,
    "output_gain": 0.5,
    "ratio": 3.0,
    "attack": 0.003,
    "release": 0.3,
    "threshold": 0.0,
    "hp_cutoff": 300.0,
    "dry_wet": 50.0,
}
LIMITER = {"enabled": False, "threshold": 0.0, "ceiling": -0.35, "release": 0.05}


def write_stem_atom(path: Path, stems: Sequence[str]) -> None:
    """Add the atom to an MP4 file whose last atom is ``moov``, as FFmpeg writes it.

    Raises:
        ValueError: the file is built in another way.
    """
    named = [{"name": stem.capitalize(), "color": COLOURS[i % len(COLOURS)]} for i, stem in enumerate(stems)]
    dsp = {"compressor": COMPRESSOR, "limiter": LIMITER}
    stem_atom = _atom(b"stem", json.dumps({"version": 1, "mastering_dsp": dsp, "stems": named}).encode())
    with path.open("r+b") as file:
        for place, kind, size in _atoms_of_file(path):
            if kind == b"moov" and place + size == path.stat().st_size:
                file.seek(place + 8)
                children = _children(file.read(size - 8))
                udta = b"".join(content for kind, content in children if kind == b"udta") + stem_atom
                others = b"".join(_atom(kind, content) for kind, content in children if kind != b"udta")
                file.seek(place)
                file.write(_atom(b"moov", others + _atom(b"udta", udta)))
                return
    raise ValueError(f"`{path}` does not end with its `moov` atom")


def _atom(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def _atoms_of_file(path: Path) -> Iterator[tuple[int, bytes, int]]:
    """Where each atom begins, its name and its size."""
    place = 0
    with path.open("rb") as file:
        while len(header := file.read(16)) >= 8:
            size, kind = struct.unpack(">I4s", header[:8])
            if size == 1:
                size = struct.unpack(">Q", header[8:])[0]
            yield place, kind, size
            place += size
            file.seek(place)


def _children(content: bytes) -> list[tuple[bytes, bytes]]:
    """Name and content of the atoms in an atom."""
    found, place = [], 0
    while place < len(content):
        size, kind = struct.unpack_from(">I4s", content, place)
        found.append((kind, content[place + 8 : place + size]))
        place += size
    return found
