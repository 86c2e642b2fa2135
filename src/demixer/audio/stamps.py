"""What encoders write of the moment and of chance is taken out again: equal sound makes equal files."""

from pathlib import Path

from mutagen.ogg import OggPage

HEAD_BYTES = 1 << 12
STREAM_NUMBER = 1


def remove_peak_time(path: Path) -> None:
    """Set the time to 0 that libsndfile notes beside the loudest sample of a WAV file of floating-point numbers."""
    with path.open("r+b") as file:
        place = file.read(HEAD_BYTES).find(b"PEAK")
        if place >= 0:
            file.seek(place + 12)  # after the chunk's name, size and version
            file.write(bytes(4))


def number_ogg_stream(path: Path) -> None:
    """Give an Ogg file's only stream a fixed number in place of a random one: on each page, which renews its sum."""
    with path.open("r+b") as file:
        end = path.stat().st_size
        while (place := file.tell()) < end:
            page = OggPage(file)
            page.serial = STREAM_NUMBER
            file.seek(place)
            file.write(page.write())
