"""All routes of the page's server: its own, and behind the gate what it needs of Gradio's."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from demixer.errors import UserError
from demixer.page.answers import body_bytes, refusal
from demixer.page.api import Api
from demixer.page.files import Files
from demixer.page.forms import receive_form
from demixer.page.gate import Gate
from demixer.page.sessions import Sessions
from demixer.page.upload_progress import UploadProgress
from demixer.page.visitors import Visitors


class Desk:
    """Takes visitors' songs, and gives their stems.

    Args:
        sessions: theirs.
        visitors: tells who asks.
    """

    def __init__(self, sessions: Sessions, visitors: Visitors) -> None:
        self.sessions, self.visitors = sessions, visitors
        self.progress = UploadProgress(visitors)

    def routes(self) -> list[Route]:
        return [
            Route("/gradio_api/upload", self.upload, methods=["POST"]),  # where Gradio's drop zone sends files
            Route("/gradio_api/upload_progress", self.progress.get, methods=["GET"]),
            Route("/stems/{secret}/{number:int}/{name}", Files(self.sessions, self.visitors).get),
        ]

    async def upload(self, request: Request) -> Response:
        """Files of a form; gives the handle of each."""
        owner, uploads = self.visitors.owner(request), self.sessions.uploads
        name, kind = request.query_params.get("upload_id", ""), request.headers.get("content-type", "")
        with self.sessions.room(owner, body_bytes(request)), self.progress.counting(owner, name) as counts:
            folder, limits = uploads.new_folder(), self.sessions.limits
            form = await receive_form(kind, request.stream(), folder, limits, counts)
            return JSONResponse([uploads.add(owner, file) for file in form.files])


def application(gradio: Starlette, gate: Gate, own: list[Route], api: Api) -> Starlette:
    """The page: what is not one of our routes goes to the gate; Gradio starts and ends with it."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        context: AbstractAsyncContextManager = gradio.router.lifespan_context(gradio)
        async with context:
            yield

    return Starlette(
        routes=[*own, *api.routes(), Mount("", gate)],
        lifespan=lifespan,
        exception_handlers={UserError: refusal},
    )
