"""The stems of visitors, each under an address that nobody can guess, as what they are and nothing else."""

import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.types import Receive, Scope, Send

from demixer.page.answers import error_text
from demixer.page.sessions import Sessions
from demixer.page.visitors import Visitors

# By the suffix that this program gave its file; what is not here is not served.
MEDIA_TYPES = {
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".png": "image/png",
    ".zip": "application/zip",
}


class Files:
    """Answers for ``/stems/{secret}/{number}/{name}``, a file of the ``number``-th job in a session's secret folder."""

    def __init__(self, sessions: Sessions, visitors: Visitors) -> None:
        self.sessions, self.visitors = sessions, visitors

    async def get(self, request: Request) -> Response:
        secret, number, name = (request.path_params[key] for key in ("secret", "number", "name"))
        session = self.sessions.with_folder(secret)
        if session is None or session.owner != self.visitors.owner(request):
            return error_text("this is no longer here", 404)
        return await run_in_threadpool(served, session.folder / f"stems{number}", name)


def served(folder: Path, name: str) -> Response:
    """The file of this name, as a download; parts of it where a player asks for them."""
    files = {file.name: file for file in folder.iterdir()} if folder.is_dir() else {}
    file = files.get(name)
    if file is None or file.name.startswith(".") or file.suffix not in MEDIA_TYPES:
        return error_text("this is no longer here", 404)
    try:
        facts = file.lstat()
    except FileNotFoundError:
        return error_text("this is no longer here", 404)
    if not stat.S_ISREG(facts.st_mode):
        return error_text("this is no longer here", 404)
    try:
        return _Opened(file, media_type=MEDIA_TYPES[file.suffix], filename=name, stat_result=facts)
    except FileNotFoundError:  # it went just now
        return error_text("this is no longer here", 404)


class _Opened(FileResponse):
    """A file that is open from the beginning: what is deleted while it is sent is sent to its end all the same."""

    def __init__(self, path: Path, **options: Any) -> None:
        self._file = path.open("rb")
        super().__init__(path, **options)

    @asynccontextmanager
    async def _open_file(self) -> AsyncIterator[anyio.AsyncFile[bytes]]:
        yield anyio.wrap_file(self._file)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._file:
            await super().__call__(scope, receive, send)
