"""A page served as a user starts it, and a visitor without a browser, for the tests of the page's server."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import requests

from tests.conftest import PROJECT_DIR
from tests.song_files import free_port

APP = PROJECT_DIR / "src" / "app.py"


@contextmanager
def served_page(folder: Path, *options: object, program: Path = APP) -> Iterator[SimpleNamespace]:
    """The page's program with these options until the end of the block; its temporary files lie in ``folder``/tmp."""
    temporary = folder / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, program, "-d", "cpu", "--port", str(free_port()), *options]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    with (folder / "log.txt").open("w+") as log:
        process = subprocess.Popen(
            [*map(str, command)], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            address = process.stdout.readline().split()
            assert address, log.seek(0) or log.read()
            yield SimpleNamespace(url=address[0], process=process, temporary=temporary, log=folder / "log.txt")
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
            process.stdout.close()


class Visitor:
    """Does what the page's own script does: opens the page, sends files and events, hears what comes of them."""

    def __init__(self, url: str, tab: str | None = None) -> None:
        self.url, self.tab = url, tab or secrets.token_hex(6)
        self.http = requests.Session()
        html = self.http.get(url, timeout=30).text
        config, _ = json.JSONDecoder().raw_decode(html, html.index("window.gradio_config = ") + 23)
        self.functions = {one["api_name"]: one["id"] for one in config["dependencies"]}

    def upload(self, file: Path, name: str | None = None) -> str:
        """Send a file; gives what the server calls it."""
        with file.open("rb") as content:
            answer = self.http.post(f"{self.url}gradio_api/upload", files={"files": (name or file.name, content)})
        answer.raise_for_status()
        return answer.json()[0]

    def send(self, function: str, data: list, **body: object) -> requests.Response:
        """Send an event."""
        event = {"data": data, "fn_index": self.functions[function], "session_hash": self.tab, "trigger_id": None}
        return self.http.post(f"{self.url}gradio_api/queue/join", json=event | body, timeout=30)

    def do(self, function: str, data: list) -> list:
        """Send an event and wait until it is done; gives all that it showed."""
        self.send(function, data).raise_for_status()
        shown = []
        with self.http.get(
            f"{self.url}gradio_api/queue/data?session_hash={self.tab}", stream=True, timeout=60
        ) as answer:
            for line in answer.iter_lines(chunk_size=1, decode_unicode=True):
                message = json.loads(line.removeprefix("data: ")) if line else {}
                if message.get("msg") in ("process_generating", "process_completed"):
                    shown.append(message["output"])
                if message.get("msg") == "process_completed":
                    return shown
        raise AssertionError(f"{function} was not completed")

    def drop(self, file: Path, name: str | None = None) -> str:
        """Drop a song; gives all that the page says."""
        return self.receive(self.upload(file, name))

    def receive(self, handle: str) -> str:
        """Use an upload; gives all that the page says."""
        self.do("receive", [[file_data(handle)]])
        return json.dumps(self.songs())

    def songs(self) -> dict:
        """What the page's list of songs shows."""
        return self.http.get(f"{self.url}songs", timeout=30).json()

    def separate(self, model: str, *stems: str, format: str = "WAV") -> list[str]:
        """Separate; gives the addresses of the sounds of the song that was chosen."""
        self.do("separate", [model, stems, format, False])
        while any(song["busy"] for song in self.songs()["songs"]):
            time.sleep(0.1)
        state = self.songs()
        if "songs wait already" in json.dumps(state):  # as the page says: try again
            time.sleep(1)
            return self.separate(model, *stems, format=format)
        mix = self.http.get(f"{self.url}songs/{state['chosen']}/mix", timeout=30).json()
        return [self.url + stem["url"] for stem in mix["stems"]]

    def close(self) -> None:
        """Close the tab, as a browser tells it."""
        self.http.post(f"{self.url}songs/leave").raise_for_status()
        self.http.close()


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until a condition is true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.01)


def file_data(path: str, **more: object) -> dict:
    """What Gradio's script says of a file."""
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}
