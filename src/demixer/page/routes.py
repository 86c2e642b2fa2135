"""What the page's own code asks for while songs are separated, and tells: Gradio's events end at once."""

import re

from fastapi import APIRouter, HTTPException, Request

from demixer.page import views
from demixer.page.shelf import Entry, Shelf, Shelves

PREFIX = "/page"
COOKIE = "demixer_visitor"  # set by static/shelf.js; it outlives a page that is loaded again
_SECRET = re.compile(r"[A-Za-z0-9]{32,64}")


def visitor_of(cookies: dict[str, str]) -> str | None:
    """The visitor that a request's cookies name, or None where they name none as the page does."""
    visitor = cookies.get(COOKIE, "")
    return visitor if _SECRET.fullmatch(visitor) else None


def routes(shelves: Shelves) -> APIRouter:
    """A visitor's songs, under :data:`PREFIX`; he is known by a cookie that pages of other origins cannot use."""
    router = APIRouter(prefix=PREFIX)

    def shelf_of(request: Request) -> Shelf | None:
        visitor = visitor_of(request.cookies)
        return shelves.find(visitor) if visitor else None

    def entry_of(request: Request, id: str) -> tuple[Shelf, Entry]:
        shelf = shelf_of(request)
        if shelf is None or id not in shelf.entries:
            raise HTTPException(404, "this song is not here any more")
        return shelf, shelf.entries[id]

    @router.get("/songs")
    def songs(request: Request) -> views.View:
        shelf = shelf_of(request)
        return views.shelf(shelf) if shelf else {"songs": [], "chosen": "", "errors": []}

    @router.get("/songs/{id}/mix")
    def mix(request: Request, id: str, since: int = 0) -> views.View | None:
        return views.mix(entry_of(request, id)[1], max(0, since))

    @router.post("/songs/{id}/choose")
    def choose(request: Request, id: str) -> None:
        entry_of(request, id)[0].chosen = id

    @router.post("/songs/{id}/cancel")
    def cancel(request: Request, id: str) -> None:
        job = entry_of(request, id)[1].job
        if job:
            job.cancel()

    @router.post("/songs/{id}/remove")
    def remove(request: Request, id: str) -> None:
        shelf, entry = entry_of(request, id)
        shelf.remove(entry)

    @router.post("/leave")
    def leave(request: Request) -> None:
        visitor = visitor_of(request.cookies)
        if visitor:
            shelves.leave(visitor)

    return router
