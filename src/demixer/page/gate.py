"""What of Gradio's server a visitor reaches: the page's own parts and its events, rebuilt from plain values.

Gradio trusts what an event says of files: where they lie, or from which address to fetch them. Here an event that
reaches it holds no file at all, but the handle of an upload, and nobody reaches any route that serves, takes or fetches
files by name.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demixer.page.answers import error_text
from demixer.page.uploads import Uploads
from demixer.page.visitors import StrangerError, Visitors

PARTS = re.compile(r"/(assets|static)(/[\w-][\w.-]*)+\Z|/theme\.css\Z|/gradio_api/app_id\Z", re.ASCII)
HEARTBEAT = "/gradio_api/heartbeat/"
MESSAGES = "/gradio_api/queue/data"
EVENTS = {"/gradio_api/queue/join", "/gradio_api/run/predict"}
BODY_BYTES, TEXT_CHARACTERS, MOST_VALUES = 100_000, 1000, 200
# Gradio's page styles itself inline; all of it comes from here, and no text becomes a script.
POLICY = (
    "default-src 'none'; connect-src 'self' blob: data:; font-src 'self' data:; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; worker-src 'self' blob:; base-uri 'self'; "
    "form-action 'self'; frame-ancestors 'none'; script-src 'self' "
)


class Gate:
    """Lets through to Gradio what the page needs.

    Args:
        gradio: its application.
        visitors: tells who asks.
        uploads: what they sent.
        listens: whether Gradio has a line open for a session's messages; without, it breaks off with a traceback.
        head: what Gradio adds to the page's head, for its scripts to be allowed.
    """

    def __init__(
        self, gradio: ASGIApp, visitors: Visitors, uploads: Uploads, listens: Callable[[str], bool], head: str
    ) -> None:
        self.gradio, self.visitors, self.uploads, self.listens = gradio, visitors, uploads, listens
        self.head_scripts = script_hashes(head)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        path, reads = request.url.path, request.method in ("GET", "HEAD")
        if reads and path == "/":
            await self._page(request, send)
        elif reads and PARTS.match(path):
            await self.gradio(_narrowed(scope, path), receive, send)
        elif request.method == "GET" and path.startswith(HEARTBEAT):
            name = self.visitors.session_name(request, path.removeprefix(HEARTBEAT))
            await self.gradio(_narrowed(scope, HEARTBEAT + name), receive, send)
        elif request.method == "GET" and path == MESSAGES:
            name = self.visitors.session_name(request, request.query_params.get("session_hash"))
            if not self.listens(name):
                raise StrangerError("no event of this tab is under way")
            await self.gradio(_narrowed(scope, path, urlencode({"session_hash": name})), receive, send)
        elif request.method == "POST" and path in EVENTS:
            await self._event(request, send)
        else:
            await error_text("there is nothing here", 404)(scope, receive, send)

    async def _page(self, request: Request, send: Send) -> None:
        """The page itself, with the one policy that its scripts are allowed by; a new visitor gets his cookie."""
        start, body = await _answer(self.gradio, _narrowed(request.scope, "/"), request.receive)
        hashes = " ".join([*script_hashes(body.decode()), *self.head_scripts])
        response = Response(body if request.method == "GET" else b"", start["status"], dict(HTML))
        response.headers["Content-Security-Policy"] = POLICY + hashes
        self.visitors.welcome(request, response)
        await response(request.scope, request.receive, send)

    async def _event(self, request: Request, send: Send) -> None:
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES:
                raise StrangerError(f"an event of more than {BODY_BYTES} bytes")
        event = self._rebuilt(request, body)
        await self.gradio(_narrowed(request.scope, request.url.path), _body(json.dumps(event).encode(), request), send)

    def _rebuilt(self, request: Request, body: bytes) -> dict[str, Any]:
        """An event of plain values, in the name of who sent it."""
        try:
            sent = json.loads(body)
            values, function, trigger = sent["data"], sent["fn_index"], sent.get("trigger_id")
            session, values = sent["session_hash"], list(values)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StrangerError("this is no event of the page") from error
        if type(function) is not int or type(trigger) not in (int, type(None)) or len(values) > MOST_VALUES:
            raise StrangerError("this is no event of the page")
        name = self.visitors.session_name(request, session)
        owner = self.visitors.owner(request)
        data = [_plain(value, lambda handle: self.uploads.owns(owner, handle)) for value in values]
        return {"data": data, "fn_index": function, "trigger_id": trigger, "session_hash": name}


HTML = (("Content-Type", "text/html; charset=utf-8"), ("Vary", "Cookie"))


def _plain(value: Any, owned: Callable[[object], bool], deep: bool = False) -> Any:
    """A value that cannot name a file; a file that was uploaded becomes its handle."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str) and len(value) <= TEXT_CHARACTERS:
        return value
    if isinstance(value, list) and not deep and len(value) <= MOST_VALUES:
        return [_plain(one, owned, deep=True) for one in value]
    if isinstance(value, dict) and owned(value.get("path")):
        return value["path"]
    raise StrangerError("an event holds something that this page has not given: load it again")


def script_hashes(html: str) -> list[str]:
    """The scripts that stand in HTML, as a policy names them."""
    scripts = re.findall(r"<script(?![^>]*\ssrc=)[^>]*>(.*?)</script>", html, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    return [f"'sha256-{digest}'" for digest in digests]


def _narrowed(scope: Scope, path: str, query: str = "") -> Scope:
    """The request as Gradio sees it: without what nobody needs to tell it."""
    kept = (b"host", b"accept", b"content-type", b"x-forwarded-proto", b"range", b"if-none-match", b"user-agent")
    if path != "/":
        kept += (b"accept-encoding",)  # the page's own text is read here
    headers = [(name, value) for name, value in scope["headers"] if name in kept]
    return {**scope, "path": path, "raw_path": path.encode(), "query_string": query.encode(), "headers": headers}


def _body(body: bytes, request: Request) -> Receive:
    """What an application receives of a request whose body is this."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else await request.receive()

    return receive


async def _answer(app: ASGIApp, scope: Scope, receive: Receive) -> tuple[Message, bytes]:
    """The whole answer of an application."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    await app(scope, receive, send)
    return messages[0], b"".join(message.get("body", b"") for message in messages[1:])
