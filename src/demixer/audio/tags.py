"""Title, artist, album, date, track number and cover: read from any file, and written into the stems'."""

import base64
import re
from dataclasses import dataclass, replace
from pathlib import Path

import av
import mutagen
from mutagen import flac, id3, mp4

from demixer.audio.containers import DEMUXERS
from demixer.errors import UserError, one_line

# FFmpeg's names, under which it gives the tags of all formats: those of Vorbis comments, of ID3 and of MP4.
NAMES = {
    "title": ("TITLE", id3.TIT2, "\xa9nam"),
    "artist": ("ARTIST", id3.TPE1, "\xa9ART"),
    "album": ("ALBUM", id3.TALB, "\xa9alb"),
    "date": ("DATE", id3.TDRC, "\xa9day"),
    "track": ("TRACKNUMBER", id3.TRCK, "trkn"),
}
FRONT_COVER = id3.PictureType.COVER_FRONT
COVER_FORMATS = {"image/jpeg": mp4.MP4Cover.FORMAT_JPEG, "image/png": mp4.MP4Cover.FORMAT_PNG}
PICTURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG": "image/png"}  # by how they begin


@dataclass(frozen=True)
class Tags:
    """What a file tells of its song.

    Args:
        texts: {a key of :data:`NAMES`: the text}.
        cover: a JPEG or PNG file's content.
    """

    texts: dict[str, str]
    cover: bytes | None = None

    def of_stem(self, stem: str) -> "Tags":
        """The same with the stem's name, if it has one, after the title, so that players tell them apart."""
        if not stem or "title" not in self.texts:
            return self
        return replace(self, texts=self.texts | {"title": f"{self.texts['title']} ({stem})"})

    @property
    def cover_kind(self) -> str:
        return next(kind for start, kind in PICTURES.items() if self.cover.startswith(start))


def read_tags(path: Path) -> Tags:
    """The tags of a file; none where it has none, or none that can be read."""
    try:
        with (
            path.open("rb") as file,
            av.open(file, options={"format_whitelist": DEMUXERS}, metadata_errors="surrogateescape") as container,
        ):
            found = [container.metadata, *(stream.metadata for stream in container.streams.audio[:1])]
            texts = {name.lower(): _readable(text) for tags in reversed(found) for name, text in tags.items()}
            return Tags({name: texts[name] for name in NAMES if texts.get(name, "").strip()}, _cover(container))
    except av.FFmpegError:
        return Tags({})


def _readable(text: str) -> str:
    """A text that is not UTF-8 is Latin-1, as ID3v1 has it; what is really in another encoding cannot be told."""
    content = text.encode("utf-8", "surrogateescape")
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")


def _cover(container: av.container.InputContainer) -> bytes | None:
    """The first attached picture that is a JPEG or PNG."""
    pictures = [s for s in container.streams.video if s.disposition & av.stream.Disposition.attached_pic]
    for packet in container.demux(pictures) if pictures else ():
        content = bytes(packet)
        if content.startswith(tuple(PICTURES)):
            return content
    return None


def write_tags(path: Path, tags: Tags) -> None:
    """Add tags to a WAV, FLAC, MP3, Ogg, Opus or MP4 file; RF64 files, beyond 4 GB, stay without.

    Raises:
        UserError: the file cannot be written.
    """
    if not (tags.texts or tags.cover) or _is_rf64(path):
        return
    try:
        file = mutagen.File(path)
        if file.tags is None:
            file.add_tags()
        kinds = {id3.ID3: _write_id3, mp4.MP4Tags: _write_mp4}
        write = next((write for kind, write in kinds.items() if isinstance(file.tags, kind)), _write_vorbis)
        write(file, tags)
        file.save()
    except mutagen.MutagenError as error:
        raise UserError(f"its stems' tags cannot be written ({one_line(error)}): is the disk full?") from error


def _is_rf64(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) == b"RF64"


def _write_id3(file: mutagen.FileType, tags: Tags) -> None:
    for name, text in tags.texts.items():
        file.tags.add(NAMES[name][1](encoding=id3.Encoding.UTF8, text=[text]))
    if tags.cover:
        file.tags.add(id3.APIC(mime=tags.cover_kind, type=FRONT_COVER, data=tags.cover))


def _write_vorbis(file: mutagen.FileType, tags: Tags) -> None:
    for name, text in tags.texts.items():
        file.tags[NAMES[name][0]] = text
    if tags.cover:
        picture = flac.Picture()
        picture.type, picture.mime, picture.data = FRONT_COVER, tags.cover_kind, tags.cover
        if isinstance(file, flac.FLAC):
            file.add_picture(picture)
        else:
            file.tags["METADATA_BLOCK_PICTURE"] = base64.b64encode(picture.write()).decode()


def _write_mp4(file: mutagen.FileType, tags: Tags) -> None:
    for name, text in tags.texts.items():
        if name != "track":
            file.tags[NAMES[name][2]] = text
        elif numbers := re.match(r"(\d{1,4})(?:/(\d{1,4}))?", text):
            file.tags["trkn"] = [(int(numbers[1]), int(numbers[2] or 0))]
    if tags.cover:
        file.tags["covr"] = [mp4.MP4Cover(tags.cover, COVER_FORMATS[tags.cover_kind])]
