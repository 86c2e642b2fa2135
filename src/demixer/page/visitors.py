"""Who asks: a browser by a cookie that nobody else has, a program by its address."""

import hashlib
import re
import secrets

from starlette.requests import HTTPConnection
from starlette.responses import Response

from demixer.errors import UserError

SECRET = re.compile(r"[\w-]{32,64}\Z", re.ASCII)
TAB = re.compile(r"[a-z0-9]{1,40}\Z")


class StrangerError(UserError):
    """A request comes from nobody that the page has welcomed, or asks for what was not given to him."""


class Visitors:
    """Tells visitors apart, without a list of them: whoever has a cookie's secret is its owner.

    Args:
        port: of the page; browsers share cookies between the ports of a machine.
        root_path: of the page's addresses.
    """

    def __init__(self, port: int, root_path: str = "") -> None:
        self.cookie, self.path = f"visitor_{port}", root_path or "/"

    def welcome(self, request: HTTPConnection, response: Response) -> None:
        """Give a cookie to who has none; it goes with the browser's session."""
        if self._secret(request) is None:
            secure = request.headers.get("x-forwarded-proto", request.url.scheme) == "https"
            response.set_cookie(
                self.cookie, secrets.token_urlsafe(24), path=self.path, httponly=True, samesite="lax", secure=secure
            )

    def owner(self, request: HTTPConnection) -> str:
        """Whose quotas a request counts for.

        Raises:
            StrangerError: it comes without the cookie.
        """
        secret = self._secret(request)
        if secret is None:
            raise StrangerError("open the page first, with cookies allowed: one tells your songs from others'")
        return hashlib.sha256(secret.encode()).hexdigest()[:32]

    def session_name(self, request: HTTPConnection, tab: object) -> str:
        """The session of a browser's tab. Whatever a tab is called, it is a session of this browser's.

        Raises:
            StrangerError: it comes without the cookie, or the name is none.
        """
        if not isinstance(tab, str) or not TAB.match(tab):
            raise StrangerError("this is no tab of the page")
        return f"{self.owner(request)}.{tab}"

    def _secret(self, request: HTTPConnection) -> str | None:
        secret = request.cookies.get(self.cookie, "")
        return secret if SECRET.match(secret) else None


def program_owner(request: HTTPConnection) -> str:
    """Whose quotas a program's request counts for: all at one address share them."""
    address = request.client.host if request.client else ""
    return "program-" + hashlib.sha256(address.encode()).hexdigest()[:24]
