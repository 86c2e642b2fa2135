"""Gradio's drop zone for files, without Gradio's own way with files."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr


def drop_zone(take: Callable[[str], Path], **options: Any) -> gr.File:
    """A drop zone that gives to the page what the page's own route has taken.

    Args:
        take: gives the file of a handle.
        options: Gradio's.
    """

    def preprocess(payload: str | list[str] | None) -> str | list[str] | None:
        if isinstance(payload, list):
            return [str(take(handle)) for handle in payload]
        return None if payload is None else str(take(payload))

    zone = gr.File(**options)  # a class of its own would have Gradio write a file beside this one
    zone.data_model = None  # else Gradio would look for files by the names that a visitor gives
    zone.preprocess, zone.api_info = preprocess, lambda: {"type": "string"}
    return zone
