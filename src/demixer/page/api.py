"""The page for programs: jobs over HTTP, with the same queue, limits and quotas.

``POST /api/jobs`` begins one, ``GET /api/jobs/ID`` tells how far it is, ``GET /api/jobs/ID/stems/NAME`` and
``GET /api/jobs/ID/zip`` give what came of it, ``DELETE /api/jobs/ID`` stops and forgets it. Whoever knows the ID has
it.
"""

import secrets
import shutil
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from demixer.errors import UserError
from demixer.page.answers import body_bytes
from demixer.page.files import served
from demixer.page.forms import Form, receive_form
from demixer.page.jobs import FORMATS, Engine, Job, Order
from demixer.page.session import Session
from demixer.page.sessions import Sessions
from demixer.page.visitors import program_owner

FIELDS = ("model", "stems", "format", "keep_rate")
FORM_BYTES = 100_000  # of a form besides its file


class Api:
    """Answers programs.

    Args:
        engine: separates.
        sessions: each job is one.
        prefix: what addresses begin with, behind a proxy.
    """

    def __init__(self, engine: Engine, sessions: Sessions, prefix: str = "") -> None:
        self.engine, self.sessions, self.prefix = engine, sessions, prefix

    def routes(self) -> list[Route]:
        one = "/api/jobs/{id}"
        return [
            Route("/api/jobs", self.create, methods=["POST"]),
            Route(one, self.show, methods=["GET"]),
            Route(one, self.delete, methods=["DELETE"]),
            Route(f"{one}/stems/{{name}}", self.stem, methods=["GET"]),
            Route(f"{one}/zip", self.archive, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        owner, limits = program_owner(request), self.engine.limits
        length = body_bytes(request, limits.megabytes * 1e6 + FORM_BYTES)
        self.sessions.check_free(owner)
        self.engine.turns.check_room()
        with self.sessions.room(owner, length):
            folder, kind = self.sessions.uploads.new_folder(), request.headers.get("content-type", "")
            form = await receive_form(kind, request.stream(), folder, limits)
        try:
            id, job = await run_in_threadpool(self._begin, owner, form)
        finally:
            shutil.rmtree(folder, ignore_errors=True)  # with the song, unless the job has taken it
        answer = self._state(id, job)
        return JSONResponse(answer, 201, {"Location": answer["links"]["self"]})

    def _begin(self, owner: str, form: Form) -> tuple[str, Job]:
        order = self._order(form)
        id = secrets.token_urlsafe(24)
        session = self.sessions.of(f"{owner}.{id}")
        try:
            session.receive(form.files[0], self.engine.limits)
            return id, session.start(order, self.engine)
        except UserError:
            self.sessions.leave(f"{owner}.{id}")
            raise

    def _order(self, form: Form) -> Order:
        """What the fields of a form choose."""
        unknown = [name for name in form.fields if name not in FIELDS]
        if unknown or len(form.files) != 1:
            wrong = f"not `{unknown[0]}`" if unknown else f"and one file, not {len(form.files)}"
            raise UserError(f"a job has the fields song (a file), {', '.join(FIELDS)}, {wrong}")
        model = form.fields.get("model", self.engine.models.names[:1])[-1]
        targets = self.engine.models.load(model).targets
        chosen = [name.strip() for value in form.fields.get("stems", []) for name in value.split(",")]
        wrong = [name for name in chosen if name not in targets]
        if wrong:
            raise UserError(f"`stems` (={wrong[0]!r}) must be some of {', '.join(targets)}")
        keep_rate = form.fields.get("keep_rate", ["false"])[-1]
        if keep_rate not in ("true", "false"):
            raise UserError(f"`keep_rate` (={keep_rate!r}) must be true or false")
        format = form.fields.get("format", [*FORMATS][:1])[-1]
        return Order(model, tuple(dict.fromkeys(chosen)) or tuple(targets), format, keep_rate == "true")

    async def show(self, request: Request) -> Response:
        session = self._session(request)
        if session is None:
            return _nothing()
        return JSONResponse(self._state(request.path_params["id"], session.job))

    async def delete(self, request: Request) -> Response:
        if self._session(request) is None:
            return _nothing()
        await run_in_threadpool(self.sessions.leave, self.sessions.ending(request.path_params["id"]))
        return Response(status_code=204)

    async def stem(self, request: Request) -> Response:
        session = self._session(request)
        stems = session.job.stems if session else None
        sound = stems.sounds.get(request.path_params["name"]) if stems else None
        return await run_in_threadpool(served, sound.parent, sound.name) if sound else _nothing()

    async def archive(self, request: Request) -> Response:
        session = self._session(request)
        stems = session.job.stems if session else None
        return await run_in_threadpool(served, stems.archive.parent, stems.archive.name) if stems else _nothing()

    def _session(self, request: Request) -> Session | None:
        name = self.sessions.ending(request.path_params["id"])
        session = self.sessions.known(name) if name else None
        return session if session and session.job else None

    def _state(self, id: str, job: Job) -> dict[str, Any]:
        """What a program is told of a job."""
        at = f"{self.prefix}/api/jobs/{id}"
        links = {"self": at}
        if job.stems is not None:
            links |= {"stems": {name: f"{at}/stems/{name}" for name in job.stems.sounds}, "zip": f"{at}/zip"}
        share = min(1.0, job.seconds / job.total_seconds) if job.total_seconds else 0.0
        return {
            "id": id,
            "status": job.phase,
            "progress": 1.0 if job.phase == "done" else share,
            "queue_place": job.ahead(),
            "error": job.error or None,
            "remarks": job.stems.remarks if job.stems else [],
            "links": links,
        }


def _nothing() -> Response:
    return JSONResponse({"error": "there is no such job, or nothing of it yet, or no longer"}, 404)
