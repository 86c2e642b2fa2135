"""Files that end too early: decoders take what is left of them for the whole, the containers' own sizes tell."""

import mmap
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

SLACK_BYTES = 100  # some programs count their header into the size of the sound
PAGE = b"OggS\0"  # how one of Ogg begins
FIRST_PAGE, LAST_PAGE = 2, 4  # its flags: of a stream's pages
AU = {b".snd": ">", b"dns.": "<"}  # how that begins, and its order of bytes


@dataclass(frozen=True)
class Chunks:
    """A container of chunks, each with its name and size.

    Args:
        start: where the first chunk begins.
        header: a chunk's name and size.
        holder: how the name of the chunk begins that holds the sound.
        align: chunks begin at multiples of so many bytes.
        counts_header: whether a chunk's size includes its name and size.
    """

    start: int
    header: struct.Struct
    holder: bytes
    align: int = 2
    counts_header: bool = False

    def walk(self, file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
        """Each chunk's name, where its content begins, and that content's size."""
        place = self.start
        while len(header := _bytes_at(file, place, self.header.size)) == self.header.size:
            name, size = self.header.unpack(header)
            size -= self.header.size * self.counts_header
            yield name, place + self.header.size, size
            end = place + self.header.size + max(0, size)
            place = -(-end // self.align) * self.align


WAV = Chunks(12, struct.Struct("<4sI"), b"data")
CONTAINERS = {  # by the first four bytes, and the four at byte 8
    (b"RIFF", b"WAVE"): WAV,
    (b"RF64", b"WAVE"): WAV,
    (b"BW64", b"WAVE"): WAV,
    (b"RIFX", b"WAVE"): Chunks(12, struct.Struct(">4sI"), b"data"),
    (b"RIFF", b"AVI "): Chunks(0, struct.Struct("<4sI"), b"RIFF"),
    (b"FORM", b"AIFF"): Chunks(12, struct.Struct(">4sI"), b"SSND"),
    (b"FORM", b"AIFC"): Chunks(12, struct.Struct(">4sI"), b"SSND"),
    (b"riff", b"\xa5\xd6\x28\xdb"): Chunks(40, struct.Struct("<16sq"), b"data", 8, True),  # W64
}
CAF = Chunks(8, struct.Struct(">4sq"), b"data", 1)


def missing_end(path: Path) -> str | None:
    """What is missing at the end of a WAV, RF64, W64, AIFF, AU, CAF, AVI or Ogg file; None: nothing, or unknown."""
    with path.open("rb") as file:
        start = file.read(12)
        length = path.stat().st_size
        if start[:4] == b"OggS":
            return None if _ogg_ends(file, length) else "the end of its stream is missing"
        container = CAF if start[:4] == b"caff" else CONTAINERS.get((start[:4], start[8:]))
        told = _au_length(start) if start[:4] in AU else container and _told_length(file, container)
    if told and told > length + SLACK_BYTES:
        return f"its last {min(99, 100 * (told - length) / told):.2g} % are missing"
    return None


def is_chained(path: Path) -> bool:
    """Whether an Ogg file is several, one after the other, as recordings of internet radio are."""
    with path.open("rb") as file:
        if file.read(4) != b"OggS":
            return False
        begun = False  # with the sound, after the first pages of all streams
        for flags, _ in _ogg_pages(file):
            if flags & FIRST_PAGE and begun:
                return True
            begun |= not flags & FIRST_PAGE
    return False


def _told_length(file: BinaryIO, container: Chunks) -> int | None:
    """How long the file should be, as its chunks of sound tell; None where they do not."""
    large = told = None
    for name, place, size in container.walk(file):
        if name == b"ds64":  # the sizes of RF64, which its chunks have no room for: the whole file's, the sound's
            large = struct.unpack("<8xQ", _bytes_at(file, place, 16))[0]
        elif name.startswith(container.holder):
            size = large if large is not None and size == 0xFFFFFFFF else size
            if _is_unknown(size):
                return None
            told = place + size
    return told


def _is_unknown(size: int) -> bool:
    """Whether a size is what programs write that cannot go back to fill it in: none, or the most that fits."""
    return size <= 0 or 0x7FFF0000 <= size <= 0x80000000 or 0xFFFF0000 <= size <= 0xFFFFFFFF or size >= 1 << 60


def _au_length(start: bytes) -> int | None:
    place, size = struct.unpack(AU[start[:4]] + "4xII", start)
    return None if _is_unknown(size) else place + size


def _ogg_pages(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Each page's flags, and where it ends."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        place = content.find(PAGE)
        while place >= 0:
            header = content[place : place + 27 + 255]
            if len(header) > 27:
                sizes = header[27 : 27 + header[26]]
                yield header[5], place + 27 + len(sizes) + sum(sizes)
            place = content.find(PAGE, place + 1)


def _ogg_ends(file: BinaryIO, length: int) -> bool:
    """Whether the last page is marked as the last, and whole."""
    flags, end = 0, 0
    for flags, end in _ogg_pages(file):  # noqa: B007
        pass
    return bool(flags & LAST_PAGE) and end <= length


def _bytes_at(file: BinaryIO, place: int, size: int) -> bytes:
    file.seek(place)
    return file.read(size)
