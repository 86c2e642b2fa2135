"""A large file from the network: goes on where it broke off, and is handed over only if it is the one meant."""

import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import requests

from demixer.errors import UserError, one_line
from demixer.progress import progress_bar

ATTEMPTS = 5
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 20


def fetch(url: str, file: Path, size_bytes: int, md5: str, pause_seconds: float = 2.0) -> None:
    """Download ``url`` to ``file``, which appears only whole and verified.

    What has come so far is kept in ``{file}.part`` and gone on from, also by a later call. A whole file that is not
    the one expected is kept as ``{file}.unverified``: should the expectation be corrected, it need not be fetched
    again; otherwise the next call replaces it.

    Args:
        url: http or https.
        file: destination.
        size_bytes: expected size.
        md5: expected checksum, hexadecimal.
        pause_seconds: before the first repetition; each further one waits twice as long.

    Raises:
        UserError: the server refuses, breaks off too often, or serves another file.
    """
    part, unverified = (file.with_name(f"{file.name}.{kind}") for kind in ("part", "unverified"))
    file.parent.mkdir(parents=True, exist_ok=True)
    if unverified.exists():
        if not _differences(unverified, size_bytes, md5):
            os.replace(unverified, file)
            return
        unverified.unlink()
    _complete(url, part, size_bytes, pause_seconds)
    if differences := _differences(part, size_bytes, md5):
        os.replace(part, unverified)
        raise UserError(
            f"what {url} serves is not the file that is registered: {'; '.join(differences)}. It is kept as "
            f"`{unverified}`; if the publisher's page shows its sum, correct the registry and run this again"
        )
    os.replace(part, file)


def _complete(url: str, part: Path, size_bytes: int, pause_seconds: float) -> None:
    """Bring ``part`` to its full size, in as many attempts as it takes and is allowed."""
    trouble = ""
    with progress_bar("bytes") as bar:
        task = bar.add_task(url.split("/")[-1][:40], total=size_bytes)
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(pause_seconds * 2 ** (attempt - 1))
            try:
                for have in _append(url, part, size_bytes):
                    bar.update(task, completed=have)
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                trouble = one_line(error)[:200]
            if _size(part) >= size_bytes:
                return
    raise UserError(
        f"{url} broke off at {_size(part)} of {size_bytes} bytes, {ATTEMPTS} times ({trouble or 'the server closed'}): "
        "run the same command again, it goes on from there"
    )


def _append(url: str, part: Path, size_bytes: int) -> Iterator[int]:
    """Request what is missing and append it; yields the size so far."""
    have = _size(part)
    if have >= size_bytes:
        return
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as answer:
        if answer.status_code not in (200, 206):
            raise UserError(f"{url} answers {answer.status_code} {answer.reason}")
        resumed = answer.status_code == 206
        if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise UserError(f"{url} answers another range than asked: {answer.headers.get('Content-Range')}")
        total = (have if resumed else 0) + int(answer.headers.get("Content-Length", size_bytes - have * resumed))
        if total != size_bytes:
            raise UserError(
                f"{url} is {total} bytes long, and {size_bytes} are registered: compare with the publisher's page, "
                "and correct the registry if it is the one that is wrong"
            )
        answer.raw.enforce_content_length = False  # an early end is no error that would discard what came before it
        with part.open("ab" if resumed else "wb") as stream:
            for chunk in answer.iter_content(CHUNK_BYTES):
                stream.write(chunk)
                if stream.tell() > size_bytes:
                    return
                yield stream.tell()


def _differences(file: Path, size_bytes: int, md5: str) -> list[str]:
    size = _size(file)
    if size != size_bytes:
        return [f"{size} bytes instead of {size_bytes}"]
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    return [] if found == md5 else [f"md5 {found} instead of {md5}"]


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
