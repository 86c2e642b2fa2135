"""What the page's own routes answer where they cannot do what was asked."""

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from demixer.errors import UserError, one_line
from demixer.page.limits import QuotaError, SizeError
from demixer.page.visitors import StrangerError

STATUS = {QuotaError: 429, SizeError: 413, StrangerError: 403}


def refusal(request: Request, error: UserError) -> Response:
    """What a visitor's or a program's mistake is answered with; where it helps to wait, it is told how long."""
    status = STATUS.get(type(error), 400)
    headers = {"Retry-After": "30"} if status == 429 else {}
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": one_line(error)}, status, headers)
    return error_text(one_line(error), status, headers)


def error_text(line: str, status: int, headers: Mapping[str, str] = {}) -> Response:
    """A line, as the page shows it."""
    return PlainTextResponse(f"error: {line}\n", status, headers)


def body_bytes(request: Request, most: float = float("inf")) -> int:
    """How long a request's body says it is.

    Raises:
        UserError: it does not say.
        SizeError: it is longer than ``most``.
    """
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        raise UserError("the request must tell its Content-Length")
    if int(length) > most:
        raise SizeError(f"it has {int(length) / 1e6:.0f} MB: this page takes {most / 1e6:.0f} MB")
    return int(length)
