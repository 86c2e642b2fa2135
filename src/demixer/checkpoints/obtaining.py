"""A model of the registry in a folder of its own: fetched, verified and unpacked."""

import hashlib
import logging
import os
import shutil
from pathlib import Path

from demixer.checkpoints.archive import unpack
from demixer.checkpoints.download import fetch
from demixer.checkpoints.locking import only_one
from demixer.checkpoints.registry import Entry, RemoteFile, read_registry
from demixer.errors import UserError, told
from demixer.paths import downloads_dir
from demixer.temporary import atomic_folder

log = logging.getLogger(__name__)
ARCHIVE = ".zip"


def download(name: str, output: Path | None = None, registry: Path | None = None, pause_seconds: float = 2.0) -> Path:
    """Fetch a model, unless it is there already; returns its folder.

    Its size, its licence, and that nobody vouches for its sums are said first, the sums of what came at the end. Of
    several processes that want the same model one fetches it, and the others wait.

    Args:
        name: the registry's, or what people call it.
        output: where the folder lies; None: where models are looked up.
        registry: None: this program's.
        pause_seconds: before the first repetition of a download that broke off.

    Raises:
        UserError: the name is unknown, the disk too small or not to be written to, or the download is not what was
            registered.
    """
    known, output = read_registry(registry), output or downloads_dir()
    meant = known.meaning(name)
    if meant is None:
        raise UserError(f"no model {name!r} to download: {known.near(name)}")
    if meant.model not in known.models:
        raise UserError(f"{name!r} came with this program, there is nothing to download: demix song.mp3 -c {name}")
    entry, folder = known.models[meant.model], output / meant.model
    with told(f"cannot download {entry.name} to `{output}`"):
        if not folder.is_dir():
            output.mkdir(parents=True, exist_ok=True)
            with only_one(output / f".{entry.name}.lock", f"downloads {entry.name}"):
                _obtain(entry, folder, pause_seconds)
    return folder


def _obtain(entry: Entry, folder: Path, pause_seconds: float) -> None:
    if folder.is_dir():  # another process was faster
        return
    log.warning("%s: %s are downloaded from %s, licence: %s", entry.name, entry.size, entry.page, entry.licence)
    if not entry.verified:
        log.warning("%s", _doubt(entry))
    places = {file: folder.with_name(entry.name + Path(file.name).suffix) for file in entry.files}
    _check_room(entry, folder.parent, sum(file.bytes for file, place in places.items() if not place.exists()))
    sums = [f"{file.name} {_fetch(file, place, pause_seconds)}" for file, place in places.items()]
    _put_in_place(places, folder)
    log.warning("sha256: %s", ", ".join(sums))


def _doubt(entry: Entry) -> str:
    """What nobody vouches for."""
    without = [file.name for file in entry.files if not (file.md5 or file.sha256)]
    missing = f"; none is known of {', '.join(without)}" if without else ""
    return f"its sums are unverified, passed on by {entry.read_in.get('files', 'somebody')}{missing}"


def _check_room(entry: Entry, output: Path, missing_bytes: int) -> None:
    unpacked = sum(file.bytes for file in entry.files if file.name.endswith(ARCHIVE))
    free, needed = shutil.disk_usage(output).free, round(missing_bytes + 1.2 * unpacked)
    if free < needed:
        takes = f"{entry.name} takes {needed / 1e9:.1f} GB" + " to unpack" * bool(unpacked)
        raise UserError(f"`{output}` has {free / 1e9:.1f} GB free, and {takes}")


def _fetch(file: RemoteFile, place: Path, pause_seconds: float) -> str:
    """Bring a file to its place, and return its sum."""
    if not place.exists():
        fetch(file.url, place, file.expected, pause_seconds)
    elif differences := file.expected.differences(place):
        raise UserError(
            f"`{place}` is not the file that is registered: {'; '.join(differences)}. Remove it to download it again, "
            "or correct the registry"
        )
    with place.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _put_in_place(places: dict[RemoteFile, Path], folder: Path) -> None:
    """Make the folder of the fetched files appear whole."""
    archives = [place for file, place in places.items() if file.name.endswith(ARCHIVE)]
    if archives:
        unpack(archives[0], folder)
        archives[0].unlink()
        return
    with atomic_folder(folder) as inner:
        for file, place in places.items():
            os.replace(place, inner / file.name)
