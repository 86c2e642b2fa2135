"""Zip archives, as models are downloaded."""

import io
import zipfile
from functools import cached_property
from pathlib import Path
from random import Random

from demixer.checkpoints.archive import unpack
from tests.fuzz.formats import Format
from tests.fuzz.mutations import mutated_bytes

NAMES = ("model/vocals.ckpt", "model/bass.ckpt", "model/inner/notes.txt")
ODD_NAMES = ("../x", "/x", "C:\\x", "a" * 300, "model", "model/vocals.ckpt/x", "\x1b[31m", "a\x00b", ".", "x/" * 500)


class ArchiveFormat(Format):
    def __init__(self) -> None:
        super().__init__("zip")

    @cached_property
    def good(self) -> bytes:
        return _archive(dict.fromkeys(NAMES, b"weights" * 100))

    def write(self, folder: Path, random: Random) -> Path:
        path = folder / "model.zip"
        if random.random() < 0.2:
            names = [*NAMES, random.choice(ODD_NAMES)]
            random.shuffle(names)
            path.write_bytes(_archive({name: random.randbytes(50) for name in names}))
        else:
            path.write_bytes(mutated_bytes(self.good, random))
        return path

    def use(self, path: Path) -> str:
        before = {*path.parent.parent.iterdir()}
        try:
            unpack(path, path.parent / "unpacked")
        finally:
            assert {*path.parent.parent.iterdir()} == before, "something was written outside of the folder"
        return ""


def _archive(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as content:
        for name, data in files.items():
            content.writestr(name, data)
    return stream.getvalue()
