"""From the first visitor to the last: start the page's server, and leave nothing behind."""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Thread
from types import ModuleType
from typing import TYPE_CHECKING

from demixer.errors import UserError
from demixer.figures.palette import ACCENT, PRESSED
from demixer.page.jobs import Engine
from demixer.page.sessions import Sessions

if TYPE_CHECKING:
    import uvicorn
    from starlette.types import ASGIApp

# Read by Gradio and by its client of the Hugging Face hub when they are imported: the page calls nobody.
OFFLINE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
START_SECONDS, END_SECONDS = 60.0, 2
EVENTS_IN_LINE = 500


@dataclass(frozen=True)
class Address:
    """Where the page is, and for whom.

    Args:
        host: what is listened at.
        port: 0: any that is free.
        names: by which it is called besides, as ``--allow-host`` gives them.
        passwords: by user; empty: it asks for none.
        root_path: what its addresses begin with, behind a proxy.

    Raises:
        UserError: the root path is none.
    """

    host: str = "127.0.0.1"
    port: int = 7860
    names: Sequence[str] = ()
    passwords: Mapping[str, str] = field(default_factory=dict)
    root_path: str = ""

    def __post_init__(self) -> None:
        if self.root_path and (not self.root_path.startswith("/") or self.root_path.endswith("/")):
            raise UserError(f"`--root-path` (={self.root_path}) must begin with a slash and not end with one: /demixer")

    def listen(self) -> socket.socket:
        """Listen there.

        Raises:
            UserError: the address cannot be had.
        """
        try:
            family, _, _, _, place = socket.getaddrinfo(self.host or None, self.port, type=socket.SOCK_STREAM)[0]
            return socket.create_server(place[:2], family=family)
        except (OSError, OverflowError) as error:
            message = f"cannot listen at {self.host}:{self.port}: choose another `--port` or `--host`"
            raise UserError(message) from error

    def shown(self, port: int) -> str:
        """What a browser on this machine opens."""
        host = "localhost" if self.host in ("0.0.0.0", "::", "") else self.host
        return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


@contextmanager
def serving(engine: Engine, address: Address) -> Iterator[str]:
    """Serve the page until the end of the block; gives its address.

    Raises:
        UserError: the address cannot be had.
    """
    sessions = Sessions(engine.limits)
    try:
        os.environ.update(OFFLINE, GRADIO_TEMP_DIR=str(sessions.root / "gradio"))
        try:
            import gradio  # noqa: F401  only now, since it reads these
        except ModuleNotFoundError as error:
            raise UserError("the page needs gradio: pip install 'music-demixer[app]'") from error
        with address.listen() as listener:
            port = listener.getsockname()[1]
            with _running(_application(engine, sessions, address, port), listener):
                yield address.shown(port)
    finally:
        sessions.close()


def _application(engine: Engine, sessions: Sessions, address: Address, port: int) -> "ASGIApp":
    """Guard → own routes → gate → Gradio."""
    import gradio as gr
    from starlette.applications import Starlette

    from demixer.page import views
    from demixer.page.api import Api
    from demixer.page.gate import Gate
    from demixer.page.guard import Guard
    from demixer.page.layout import Page
    from demixer.page.memory import Memory
    from demixer.page.routes import Songs
    from demixer.page.shelf import Shelves
    from demixer.page.visitors import Visitors
    from demixer.page.web import Desk, application

    shelves = Shelves(sessions, engine)
    page = Page(engine, shelves)
    blocks = page.build().queue(max_size=EVENTS_IN_LINE, api_open=False)
    head = views.head()
    inner = Starlette()
    gr.mount_gradio_app(
        inner,
        blocks,
        path="/",
        server_name=address.host,
        server_port=port,
        root_path=address.root_path or None,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        run_history=False,
        enable_monitoring=False,
        footer_links=[],
        max_file_size=round(engine.limits.megabytes * 1e6),
        theme=_theme(gr),
        css_paths=[views.STATIC_DIR / "page.css"],
        head=head,
    )
    visitors, memory = Visitors(port, address.root_path), Memory(blocks)
    page.forget = memory.forget
    app = application(
        inner,
        Gate(inner, visitors, sessions.uploads, memory.listens, head),
        [*Desk(sessions, visitors).routes(), *Songs(shelves, visitors).routes()],
        Api(engine, sessions, address.root_path),
    )
    return Guard(app, address.host, address.names, address.passwords, address.root_path)


@contextmanager
def _running(app: "ASGIApp", listener: socket.socket) -> Iterator[None]:
    """Serve in a thread of its own until the end of the block."""
    import uvicorn

    config = uvicorn.Config(app, log_level="warning", server_header=False, timeout_graceful_shutdown=END_SECONDS)
    server = uvicorn.Server(config)
    thread = Thread(target=server.run, args=([listener],), name="server", daemon=True)
    thread.start()
    try:
        _wait(server, thread)
        yield
    finally:
        server.should_exit = True
        thread.join()


def _wait(server: "uvicorn.Server", thread: Thread) -> None:
    end = time.monotonic() + START_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > end:
            raise RuntimeError("the page's server did not start: its log says why")
        time.sleep(0.01)


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
