"""A large file from the network: goes on where it broke off, and is handed over only if it is the one meant."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests
from rich.markup import escape

from demixer.errors import UserError, one_line, shown
from demixer.progress import progress_bar

ATTEMPTS = 5
MOST_REDIRECTS = 10
TIMEOUT_SECONDS = 30
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Expected:
    """What a file must be.

    Args:
        bytes: its length.
        sums: its checksums in hexadecimal, by the name of their algorithm; None where one is not known.
    """

    bytes: int
    sums: Mapping[str, str | None]

    def differences(self, file: Path) -> list[str]:
        """What a file is instead, in words; nothing where it is the one."""
        size = size_of(file)
        if size != self.bytes:
            return [f"{size} bytes instead of {self.bytes}"]
        found = {name: _sum(file, name) for name, known in self.sums.items() if known}
        return [
            f"{name} {value} instead of {self.sums[name]}" for name, value in found.items() if value != self.sums[name]
        ]


def fetch(url: str, file: Path, expected: Expected, pause_seconds: float = 2.0) -> None:
    """Download ``url`` to ``file``, which appears only whole and verified.

    What has come so far is kept in ``{file}.part`` and gone on from, also by a later call. A whole file that is not
    the one expected is kept as ``{file}.unverified``: should the expectation be corrected, it need not be fetched
    again; otherwise the next call replaces it.

    Args:
        url: http or https; what begins as https stays so.
        file: destination.
        expected: its size and checksums.
        pause_seconds: before the first repetition; each further one waits twice as long.

    Raises:
        UserError: the address is none, the server refuses, breaks off too often, or serves another file.
        OSError: the file cannot be written.
    """
    part, unverified = (file.with_name(f"{file.name}.{kind}") for kind in ("part", "unverified"))
    file.parent.mkdir(parents=True, exist_ok=True)
    if unverified.exists():
        if not expected.differences(unverified):
            os.replace(unverified, file)
            return
        unverified.unlink()
    _complete(url, part, expected.bytes, pause_seconds)
    if differences := expected.differences(part):
        os.replace(part, unverified)
        raise UserError(
            f"what {url} serves is not the file that is registered: {'; '.join(differences)}. It is kept as "
            f"`{unverified}`; if the publisher's page shows its sum, correct the registry and run this again"
        )
    os.replace(part, file)


class Session(requests.Session):
    """Follows redirects, but never from https to http, where anybody on the way could exchange the file."""

    def __init__(self) -> None:
        super().__init__()
        self.max_redirects = MOST_REDIRECTS

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        try:
            scheme = urlsplit(urljoin(resp.url, target)).scheme if target else None
        except ValueError as error:
            raise UserError(f"{resp.url} leads on to {target[:300]}, which is no address") from error
        if target and urlsplit(resp.url).scheme == "https" and scheme != "https":
            raise UserError(f"{resp.url} leads on to {target}, which is not encrypted: refused")
        return target


def _complete(url: str, part: Path, size_bytes: int, pause_seconds: float) -> None:
    """Bring ``part`` to its full size, in as many attempts as it takes and is allowed."""
    trouble = ""
    with progress_bar("bytes") as bar, Session() as session:
        task = bar.add_task(escape(shown(part.stem)), total=size_bytes)
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(pause_seconds * 2 ** (attempt - 1))
            try:
                for have in _append(session, url, part, size_bytes):
                    bar.update(task, completed=have)
            except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
                trouble = one_line(error)[:300]
                if "certificate" in trouble.lower():  # which no waiting mends
                    raise UserError(f"{url} cannot be trusted: {trouble}") from error
            except (
                requests.RequestException
            ) as error:  # no address, or a circle of redirects: not to be mended by waiting
                raise UserError(f"cannot download {url[:300]}: {one_line(error)[:300]}") from error
            if size_of(part) >= size_bytes:
                return
    if not size_of(part):
        raise UserError(f"{url} cannot be reached, {ATTEMPTS} times ({trouble or 'the server closed'})")
    raise UserError(
        f"{url} broke off at {size_of(part)} of {size_bytes} bytes, {ATTEMPTS} times "
        f"({trouble or 'the server closed'}): run the same command again, it goes on from there"
    )


def _append(session: Session, url: str, part: Path, size_bytes: int) -> Iterator[int]:
    """Request what is missing and append it; yields the size so far."""
    have = size_of(part)
    if have >= size_bytes:
        return
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as answer:
        if answer.status_code not in (200, 206):
            raise UserError(f"{url} answers {answer.status_code} {answer.reason}")
        if answer.headers.get("Content-Type", "").lower().startswith("text/html"):
            raise UserError(f"{url} answers with a web page instead of the file: open it in a browser to see why")
        resumed = answer.status_code == 206
        if resumed and not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise UserError(f"{url} answers another range than asked: {answer.headers.get('Content-Range')}")
        length = _content_length(answer)
        total = size_bytes if length is None else length + have * resumed
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


def _content_length(answer: requests.Response) -> int | None:
    """What the server says of the length of what it sends; None where it does not say it."""
    told = answer.headers.get("Content-Length", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 20 else None


def _sum(file: Path, algorithm: str) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def size_of(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0
