"""What the page's own routes answer where they cannot do what was asked."""

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from demixer.errors import UserError, one_line
from demixer.page.limits import QuotaError, SizeError

STATUS = {QuotaError: 429, SizeError: 413}


def status_of(error: UserError) -> int:
    return STATUS.get(type(error), 400)


def error_text(line: str, status: int) -> Response:
    """A line, as the page shows it."""
    return PlainTextResponse(f"error: {line}\n", status)


def error_json(error: UserError) -> Response:
    """The same for programs; where it helps to wait, they are told how long."""
    status = status_of(error)
    headers = {"Retry-After": "30"} if status == 429 else {}
    return JSONResponse({"error": one_line(error)}, status, headers)


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
