"""What the page's own code (``static/shelf.js``) asks for while songs are separated, and tells."""

from collections.abc import Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demixer.errors import UserError
from demixer.page import views
from demixer.page.answers import error_text
from demixer.page.shelf import Entry, Shelf, Shelves
from demixer.page.visitors import Visitors

NOTHING: views.View = {"songs": [], "chosen": "", "errors": []}


class Songs:
    """A visitor's songs, and what he does with one of them.

    Args:
        shelves: everybody's songs.
        visitors: tells who asks.
    """

    def __init__(self, shelves: Shelves, visitors: Visitors) -> None:
        self.shelves, self.visitors = shelves, visitors

    def routes(self) -> list[Route]:
        acts = {"choose": _choose, "cancel": Shelf.cancel, "remove": Shelf.remove}
        return [
            Route("/songs", self.list, methods=["GET"]),
            Route("/songs/leave", self.leave, methods=["POST"]),
            Route("/songs/{id}/mix", self.mix, methods=["GET"]),
            *(Route(f"/songs/{{id}}/{name}", self._doing(act), methods=["POST"]) for name, act in acts.items()),
        ]

    async def list(self, request: Request) -> Response:
        shelf = self._shelf(request)
        return JSONResponse(await run_in_threadpool(views.shelf, shelf) if shelf else NOTHING)

    async def leave(self, request: Request) -> Response:
        """The page is being closed, or loaded again."""
        if shelf := self._shelf(request):
            await run_in_threadpool(shelf.closing)
        return Response(status_code=204)

    async def mix(self, request: Request) -> Response:
        _, entry = self._found(request)
        since = request.query_params.get("since", "0")
        return JSONResponse(views.mix(entry, int(since) if since.isdecimal() else 0) if entry else None)

    def _doing(self, act: Callable[[Shelf, Entry], None]) -> Callable:
        async def answer(request: Request) -> Response:
            shelf, entry = self._found(request)
            if entry is None:
                return error_text("this song is no longer here", 404)
            await run_in_threadpool(act, shelf, entry)
            return JSONResponse(None)

        return answer

    def _found(self, request: Request) -> tuple[Shelf | None, Entry | None]:
        shelf = self._shelf(request)
        return shelf, shelf.entries.get(request.path_params["id"]) if shelf else None

    def _shelf(self, request: Request) -> Shelf | None:
        try:
            return self.shelves.known(self.visitors.owner(request))
        except UserError:  # without a cookie
            return None


def _choose(shelf: Shelf, entry: Entry) -> None:
    shelf.chosen = entry.id
