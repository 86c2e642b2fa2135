"""Forms with files (multipart/form-data), written to the disk as they come."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from demixer.errors import UserError
from demixer.page.limits import Limits

STALL_SECONDS = 60.0  # a sender who is silent for so long has gone
NAME_BYTES = 150  # file systems take 255, and "_vocals.flac" and the like come to it
PARTS, FIELD_BYTES = 100, 10_000  # at most
NO_FORM = "send it as multipart/form-data, as a form does"


@dataclass
class Form:
    """What was sent: files, under names that are safe to use, and the other fields by their names."""

    files: list[Path] = field(default_factory=list)
    fields: dict[str, list[str]] = field(default_factory=dict)


async def receive_form(
    content_type: str, body: AsyncIterator[bytes], folder: Path, limits: Limits, counts: dict[str, int] | None = None
) -> Form:
    """Write a form's files into a new folder, each into one of its own.

    Args:
        content_type: its header.
        body: its bytes.
        folder: is made here.
        limits: of a file.
        counts: is told how many bytes came of each file, by the name that its sender gave it.

    Raises:
        UserError: it is no form, it stalls or breaks off, or a file is too large; nothing of it stays.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise UserError(NO_FORM)
    folder.mkdir()
    writer = _Writer(options[b"boundary"], folder, limits, {} if counts is None else counts)
    try:
        chunks = aiter(body)
        while chunk := await asyncio.wait_for(anext(chunks, b""), STALL_SECONDS):
            writer.parser.write(chunk)
        if not writer.complete:
            raise UserError(f"the form breaks off: {NO_FORM}")
    except BaseException as error:  # a cancelled request leaves nothing either
        writer.close()
        shutil.rmtree(folder)
        if isinstance(error, FormParserError):
            raise UserError(NO_FORM) from error
        if isinstance(error, TimeoutError):
            raise UserError(f"nothing came for {STALL_SECONDS:g} seconds: send it again") from error
        raise
    return writer.form


class _Writer:
    """Does with a form's parts what the parser tells of them."""

    def __init__(self, boundary: bytes, folder: Path, limits: Limits, counts: dict[str, int]) -> None:
        self.form, self.complete, self._counts = Form(), False, counts
        self._folder, self._limits = folder, limits
        self._file: BinaryIO | None = None
        self._parts = 0
        told = ("part_begin", "part_data", "part_end", "header_field", "header_value", "header_end")
        callbacks = {f"on_{name}": getattr(self, f"_{name}") for name in (*told, "headers_finished", "end")}
        self.parser = MultipartParser(boundary, callbacks)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _part_begin(self) -> None:
        self._parts += 1
        if self._parts > PARTS:
            raise UserError(f"a form of more than {PARTS} parts: send less at once")
        self._header: list[bytes] = [b"", b""]
        self._headers: dict[bytes, bytes] = {}

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header[0].lower()] = self._header[1]
        self._header = [b"", b""]

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition"))
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        self._text, self._written = b"", 0
        if b"filename" in options:
            self._sent_name = options[b"filename"].decode("utf-8", "replace")
            path = self._folder / str(self._parts) / file_name(self._sent_name)
            path.parent.mkdir(parents=True)  # the sweeper takes empty folders
            self._file = path.open("xb")
            self.form.files.append(path)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._written += end - start
            self._limits.check_size(self._written)
            self._counts[self._sent_name] = self._written
            self._file.write(data[start:end])
            return
        self._text += data[start:end]
        if len(self._text) > FIELD_BYTES:
            raise UserError(f"`{self._name}` is longer than {FIELD_BYTES} bytes")

    def _part_end(self) -> None:
        if self._file is None:
            self.form.fields.setdefault(self._name, []).append(self._text.decode("utf-8", "replace"))
        self.close()

    def _end(self) -> None:
        self.complete = True


def file_name(sent: str) -> str:
    r"""A name to keep a file under, from the one that its sender gave it.

    >>> file_name("../../etc/pass\nwd.WAV"), file_name(".."), file_name("..\\songs\\Für Elise?.mp3")
    ('pass_wd.WAV', 'song', 'Für Elise_.mp3')
    """
    name = PureWindowsPath(PurePosixPath(sent).name).name
    name = "".join(one if one.isprintable() and one not in '/\\:*?"<>|' else "_" for one in name).strip(". ")
    stem, dot, suffix = name.rpartition(".")
    if not dot or not suffix.isalnum() or len(suffix) > 8:
        stem, suffix = name, ""
    stem = stem.encode()[:NAME_BYTES].decode(errors="ignore").strip() or "song"
    return f"{stem}.{suffix}" if suffix else stem
