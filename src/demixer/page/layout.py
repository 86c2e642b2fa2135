"""The page: Gradio's components, and what happens when a visitor uses them."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import gradio as gr

from demixer.errors import UserError
from demixer.page import views
from demixer.page.dropping import drop_zone
from demixer.page.jobs import FORMATS, Engine, Order
from demixer.page.shelf import Shelf, Shelves

RAW = {"sanitize_html": False, "latex_delimiters": []}  # elements of static/*.js; nothing of a visitor's stands in them
Update = dict[str, Any]


class Page:
    """What the visitors' actions do: each returns at once, and tells the list of songs to look again.

    Args:
        engine: separates.
        shelves: who is here, and their songs.

    Attributes:
        forget: is told the name of a tab whose connection has ended.
    """

    def __init__(self, engine: Engine, shelves: Shelves) -> None:
        self.engine, self.shelves = engine, shelves
        self.forget: Callable[[str], None] = lambda name: None
        self._news = count(1)

    def receive(self, uploads: list[str] | str | None, request: gr.Request) -> tuple[None, str]:
        """Files were dropped: empty the drop zone for the next ones, list those that are songs."""
        files = [uploads] if isinstance(uploads, str) else uploads or []  # whatever an event holds
        self._shelf(request).receive([Path(file) for file in files])
        return None, self._look_again()  # an update would have Gradio make another drop zone, with its own way

    def choose(self, model: str, shown: list[str], request: gr.Request) -> tuple[Update, list[str], str]:
        """A model was chosen: offer its stems; where those shown are the same, what is ticked stays."""
        shelf = self._shelf(request)
        shelf.errors = []
        try:
            targets = list(self.engine.models.load(model).targets)
        except UserError as error:
            shelf.errors = [str(error)]
            targets = shown
        offer = gr.skip() if targets == shown else gr.update(choices=targets, value=targets)
        return offer, targets, self._look_again()

    def separate(self, model: str, stems: list[str], format: str, keep_rate: bool, request: gr.Request) -> str:
        """Line the songs up."""
        shelf = self._shelf(request)
        shelf.errors = []
        try:
            shelf.start(Order(model, tuple(stems), format, keep_rate))
        except UserError as error:
            shelf.errors = [str(error)]
        return self._look_again()

    def leave(self, request: gr.Request) -> None:
        """A tab is closed, or its connection broke; whether its songs go, ``static/shelf.js`` tells."""
        self.forget(request.session_hash)

    def build(self) -> gr.Blocks:
        """Lay the page out."""
        limits, names = self.engine.limits, self.engine.models.names
        take = self.shelves.sessions.uploads.take
        targets = list(self.engine.models.load(names[0]).targets)
        with gr.Blocks(title=views.TITLE, analytics_enabled=False, fill_width=False) as blocks:
            gr.Markdown(views.header(limits), elem_id="header")
            song = drop_zone(take, label="songs", show_label=False, file_count="multiple", elem_id="song", height=130)
            gr.Markdown("<song-list></song-list>", elem_id="songs", **RAW)
            with gr.Row(elem_id="choices", equal_height=True):
                model = gr.Dropdown(
                    names, value=names[0], label="model", elem_id="model", filterable=False, min_width=180
                )
                label = "stems (choose one, and everything else comes with it)"
                stems = gr.CheckboxGroup(targets, value=targets, label=label, elem_id="stems", scale=2, min_width=380)
                with gr.Column(min_width=290):
                    format = gr.Radio(list(FORMATS), value="WAV", label="format", elem_id="format")
                    keep_rate = gr.Checkbox(False, label="at the song's own sample rate", elem_id="keep_rate")
            shown = gr.State(targets)
            go = gr.Button("Separate", variant="primary", elem_id="go")
            news = gr.Markdown(elem_id="news", **RAW)
            gr.Markdown("<song-mixer></song-mixer>", elem_id="mixer", **RAW)
            quiet = {"show_progress": "hidden", "api_visibility": "private", "concurrency_limit": None}
            song.upload(self.receive, song, [song, news], **quiet)
            model.change(self.choose, [model, shown], [stems, shown, news], **quiet)
            go.click(self.separate, [model, stems, format, keep_rate], news, **quiet)
            blocks.unload(self.leave)
        return blocks

    def _shelf(self, request: gr.Request) -> Shelf:
        return self.shelves.of(request.session_hash.partition(".")[0])  # owner.tab, as the gate names it

    def _look_again(self) -> str:
        return f'<song-news data-number="{next(self._news)}"></song-news>'
