"""From the first visitor to the last: start the page's server, and leave nothing behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from demixer.errors import UserError
from demixer.figures.palette import ACCENT, PRESSED
from demixer.page.jobs import Engine
from demixer.page.sessions import Sessions

# Read by Gradio and by its client of the Hugging Face hub when they are imported: the page calls nobody.
OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


@contextmanager
def serving(engine: Engine, host: str, port: int) -> Iterator[str]:
    """Serve the page until the end of the block; gives its address.

    Raises:
        UserError: the address cannot be had.
    """
    sessions = Sessions(engine.limits)
    os.environ.update(OFFLINE, GRADIO_TEMP_DIR=str(sessions.uploads))
    try:
        try:
            import gradio as gr  # only now, since it reads these
        except ModuleNotFoundError as error:
            raise UserError("the page needs gradio: pip install 'music-demixer[app]'") from error

        from demixer.page import views
        from demixer.page.layout import Page
        from demixer.page.routes import routes
        from demixer.page.shelf import Shelves

        shelves = Shelves(sessions, engine)
        blocks = Page(engine, shelves).build()
        try:
            app, address, _ = blocks.launch(
                server_name=host,
                server_port=port,
                share=False,
                ssr_mode=False,
                mcp_server=False,
                run_history=False,
                enable_monitoring=False,
                footer_links=[],
                quiet=True,
                prevent_thread_lock=True,
                max_file_size=round(engine.limits.megabytes * 1e6),
                allowed_paths=[str(sessions.visitors)],
                theme=_theme(gr),
                css_paths=[views.STATIC_DIR / "page.css"],
                head=views.head(),
            )
        except (OSError, OverflowError) as error:
            raise UserError(f"cannot listen at {host}:{port}: choose another `--port` or `--host`") from error
        app.include_router(routes(shelves))
        yield address
        blocks.close(verbose=False)
    finally:
        sessions.close()


def _theme(gr: ModuleType) -> object:
    """The system's own fonts, so that none is fetched, and the palette's colour for what is to be pressed."""
    theme = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
    return theme.set(
        button_primary_background_fill=ACCENT,
        button_primary_background_fill_dark=ACCENT,
        button_primary_background_fill_hover=PRESSED,
        button_primary_background_fill_hover_dark=PRESSED,
        checkbox_background_color_selected=ACCENT,
        checkbox_background_color_selected_dark=ACCENT,
        checkbox_border_color_selected=ACCENT,
        checkbox_border_color_selected_dark=ACCENT,
    )
