"""The page: Gradio's components, and what happens when a visitor uses them."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from demixer.errors import UserError
from demixer.page import views
from demixer.page.dropping import drop_zone
from demixer.page.jobs import FORMATS, Engine, Job, Order
from demixer.page.sessions import Sessions

LOOK_SECONDS = 0.2  # how often a visitor's progress is shown
Update = dict[str, Any]


class Page:
    """What the visitors' actions do.

    Args:
        engine: separates.
        sessions: who is here, and their files.
    """

    def __init__(self, engine: Engine, sessions: Sessions) -> None:
        self.engine, self.sessions = engine, sessions

    def receive(self, upload: str, request: gr.Request) -> tuple[Update, str, str, str, Update]:
        """A file was dropped: empty the drop zone for the next one, show the song, no stems yet, allow to go on.

        Where it is refused, what was here before stays.
        """
        name = Path(upload).name
        try:
            facts = self.sessions.of(request.session_hash).receive(Path(upload), self.engine.limits)
        except UserError as error:
            return gr.update(value=None), views.error_line(str(error)), gr.skip(), gr.skip(), gr.skip()
        return gr.update(value=None), views.song_line(name, facts), "", "", gr.update(interactive=True)

    def choose(self, model: str) -> tuple[Update, str | Update]:
        """A model was chosen: offer its stems."""
        try:
            targets = self.engine.models.load(model).targets
        except UserError as error:
            return gr.skip(), views.error_line(str(error))
        return gr.update(choices=list(targets), value=list(targets)), gr.skip()

    def separate(
        self, model: str, stems: list[str], format: str, request: gr.Request
    ) -> Iterator[tuple[str, str, Update, Update]]:
        """Separate: status, mixer, and the two buttons, again and again until it is done."""
        try:
            order = Order(model, tuple(stems), format)
            job = self.sessions.of(request.session_hash).start(order, self.engine)
        except UserError as error:
            yield views.error_line(str(error)), gr.skip(), gr.skip(), gr.skip()
            return
        yield from _watched(job)

    def find_again(
        self, request: gr.Request
    ) -> Iterator[tuple[str | Update, str | Update, str | Update, Update, Update]]:
        """The page was loaded: show what this visitor had, if he loaded it again, or the connection had been lost."""
        session = self.sessions.find_again(request.session_hash)
        if session.song is None:
            return
        card, ready = views.song_line(session.song.name, session.facts), gr.update(interactive=True)
        yield card, gr.skip(), gr.skip(), ready, gr.skip()
        if session.job is not None:
            for update in _watched(session.job):
                yield gr.skip(), *update

    def cancel(self, request: gr.Request) -> None:
        session = self.sessions.of(request.session_hash)
        if session.job is not None:
            session.job.cancel()

    def leave(self, request: gr.Request) -> None:
        """The connection to the tab has ended; whether it was closed, ``static/presence.js`` tells."""
        self.sessions.lose(request.session_hash)

    def build(self) -> gr.Blocks:
        """Lay the page out."""
        limits, names = self.engine.limits, self.engine.models.names
        targets = list(self.engine.models.load(names[0]).targets)
        with gr.Blocks(title=views.TITLE, analytics_enabled=False, fill_width=False) as blocks:
            gr.HTML(views.header(limits), elem_id="header", js_on_load=None)
            song = drop_zone(self.sessions.uploads.take, label="song", show_label=False, elem_id="song", height=150)
            card = gr.HTML(elem_id="card", js_on_load=None)
            with gr.Row():
                model = gr.Dropdown(
                    names, value=names[0], label="model", elem_id="model", filterable=False, min_width=200
                )
                label = "stems (choose one, and everything else comes with it)"
                stems = gr.CheckboxGroup(targets, value=targets, label=label, elem_id="stems", scale=2, min_width=400)
                format = gr.Radio(list(FORMATS), value="WAV", label="format", elem_id="format", min_width=290)
            with gr.Row():
                go = gr.Button("Separate", variant="primary", interactive=False, elem_id="go")
                stop = gr.Button("Cancel", visible=False, elem_id="stop")
            status = gr.HTML(elem_id="status", js_on_load=None)
            mixer = gr.HTML(elem_id="mixer", js_on_load=None)
            quiet = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
            song.upload(self.receive, song, [song, card, status, mixer, go], **quiet)
            model.change(self.choose, model, [stems, status], **quiet)
            go.click(self.separate, [model, stems, format], [status, mixer, go, stop], **quiet)
            stop.click(self.cancel, queue=False, **quiet)
            blocks.load(self.find_again, None, [card, status, mixer, go, stop], **quiet)
            blocks.unload(self.leave)
        return blocks


def _watched(job: Job) -> Iterator[tuple[str, str | Update, Update, Update]]:
    """Status, mixer and the two buttons, again and again until a job is done; it goes on where nobody looks."""
    yield views.progress_bar(job), "", gr.update(interactive=False), gr.update(visible=True)
    while not job.ended.wait(LOOK_SECONDS):
        yield views.progress_bar(job), gr.skip(), gr.skip(), gr.skip()
    yield (*_outcome(job), gr.update(interactive=True), gr.update(visible=False))


def _outcome(job: Job) -> tuple[str, str]:
    """Status and mixer at a job's end."""
    if job.phase == "failed":
        return views.error_line(job.error), ""
    if job.stems is None:
        return views.note_line("cancelled"), ""
    return views.note_line(f"separated in {views.rough(time.monotonic() - job.began)}"), views.mixer(job.stems)
