"""Gradio's drop zone for files, without Gradio's own way with files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr


class Drop(gr.File):
    """Looks like :class:`gradio.File`; what it gives to the page are uploads that the page's own route has taken.

    Args:
        take: gives the file of a handle.
        options: Gradio's.
    """

    data_model = None  # else Gradio would look for files by the names that a visitor gives
    is_template = True  # the browser's part is Gradio's

    def __init__(self, take: Callable[[str], Path], **options: Any) -> None:
        self.take = take
        super().__init__(**options)

    def preprocess(self, payload: str | list[str] | None) -> str | list[str] | None:
        if isinstance(payload, list):
            return [str(self.take(handle)) for handle in payload]
        return None if payload is None else str(self.take(payload))
