"""The door of the page: who may come in, by which name of this machine, from which page, and with which password.

A browser sends what any site tells it to, so that a machine's own page is reachable for every site that its user opens.
What tells them apart: ``Host`` is a name of this machine and no other (a name that a stranger's DNS points here is
his), and ``Origin`` is the page itself.
"""

import asyncio
import hmac
import ipaddress
import socket
from base64 import b64decode
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOCAL_HOSTS = {"localhost", "127.0.0.1", "::1"}
EVERYWHERE = {"0.0.0.0", "::", ""}
WRONG_PASSWORD_SECONDS = 1.0  # who guesses, guesses slowly
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Referrer-Policy": "same-origin",  # addresses of stems are secrets
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",  # what is deleted here stays in no browser's cache either
}


class Guard:
    """Lets through what comes to the right name, from the page itself, with the right password.

    Args:
        app: the page.
        host: the address that is listened at.
        names: further names, as ``--allow-host`` gives them.
        passwords: by user; none: everybody may come in.
        root_path: what addresses begin with behind a proxy that leaves it there.
    """

    def __init__(
        self, app: ASGIApp, host: str, names: Iterable[str] = (), passwords: Mapping[str, str] = {}, root_path: str = ""
    ) -> None:
        self.app, self.passwords, self.root_path = app, passwords, urlsplit(root_path).path.rstrip("/")
        self.named = {name.lower().strip("[]") for name in names}
        self.names = LOCAL_HOSTS | self.named | ({host.lower()} - EVERYWHERE)
        self.everywhere = host in EVERYWHERE
        if self.everywhere:
            own = socket.gethostname().lower()
            self.names |= {own, f"{own.removesuffix('.local')}.local"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            refusal = await self._refusal(scope)
            if refusal is None:
                path = scope["path"]
                if self.root_path and path.startswith(f"{self.root_path}/"):
                    path = path.removeprefix(self.root_path)
                scope = {**scope, "path": path, "raw_path": path.encode()}
            await (refusal or self.app)(scope, receive, _with_headers(send))
        else:  # the page has no websockets
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(_hostname(host)):
            line = f"error: this page is not called {_hostname(host)!r} here: start it with `--allow-host NAME`\n"
            return PlainTextResponse(line, 421)
        if not self._same_site(headers, host, scope["method"]):
            return PlainTextResponse("error: this came from another site\n", 403)
        if self.passwords and not self._knows_password(headers.get("authorization", "")):
            if "authorization" in headers:
                await asyncio.sleep(WRONG_PASSWORD_SECONDS)
            ask = {"WWW-Authenticate": 'Basic realm="music demixer", charset="UTF-8"'}
            return PlainTextResponse("error: user and password, please\n", 401, ask)
        return None

    def _is_own(self, name: str) -> bool:
        """Whether a host's name is this machine's. Listening everywhere, any address is: no DNS can point it here."""
        return name in self.names or (self.everywhere and _is_address(name))

    def _same_site(self, headers: Headers, host: str, method: str) -> bool:
        origin = headers.get("origin")
        if origin is not None:
            return urlsplit(origin).netloc == host or _hostname(urlsplit(origin).netloc) in self.named
        visit = method in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
        return visit or headers.get("sec-fetch-site", "none") in ("none", "same-origin")

    def _knows_password(self, sent: str) -> bool:
        kind, _, code = sent.partition(" ")
        try:
            user, _, password = b64decode(code, validate=True).decode().partition(":")
        except ValueError:
            return False
        wanted = self.passwords.get(user, "")
        same = hmac.compare_digest(password.encode(), wanted.encode())
        return kind.lower() == "basic" and user in self.passwords and same


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending


def _hostname(host: str) -> str:
    """The name without the port, in lower case.

    >>> _hostname("Example.org:7860"), _hostname("[::1]:80"), _hostname("127.0.0.1")
    ('example.org', '::1', '127.0.0.1')
    """
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
