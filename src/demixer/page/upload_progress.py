"""How far uploads are, as Gradio's drop zone asks for it: a stream of messages."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from demixer.page.visitors import Visitors

LOOK_SECONDS = 0.2
APPEAR_SECONDS = 5.0  # the drop zone asks before it sends


class UploadProgress:
    """Counts what comes of each upload, by its visitor and the name that his page gave it."""

    def __init__(self, visitors: Visitors) -> None:
        self.visitors = visitors
        self._running: dict[tuple[str, str], dict[str, int]] = {}

    @contextmanager
    def counting(self, owner: str, upload: str) -> Iterator[dict[str, int]]:
        """Gives a table to count a file's bytes in, by the file's name."""
        counts: dict[str, int] = {}
        self._running[owner, upload] = counts
        try:
            yield counts
        finally:
            self._running.pop((owner, upload), None)

    async def get(self, request: Request) -> Response:
        key = self.visitors.owner(request), request.query_params.get("upload_id", "")
        return StreamingResponse(self._messages(key), media_type="text/event-stream")

    async def _messages(self, key: tuple[str, str]) -> AsyncIterator[str]:
        end, told = time.monotonic() + APPEAR_SECONDS, {}
        while key not in self._running and time.monotonic() < end:
            await asyncio.sleep(LOOK_SECONDS)
        while (counts := self._running.get(key)) is not None:
            for name, count in list(counts.items()):
                message = {"msg": "update", "orig_name": name, "chunk_size": count - told.get(name, 0)}
                told[name] = count
                yield f"data: {json.dumps(message)}\n\n"
            await asyncio.sleep(LOOK_SECONDS)
        yield 'data: {"msg": "done"}\n\n'
