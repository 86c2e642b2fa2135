"""What a stranger's requests to the page's server do: nothing."""

import http.server
import re
import threading
from pathlib import Path

import pytest
import requests
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from demixer.audio import FORMATS as AUDIO_FORMATS
from demixer.commands import app
from demixer.errors import UserError
from demixer.page.files import MEDIA_TYPES
from demixer.page.guard import Guard
from demixer.page.jobs import FORMATS
from demixer.page.passwords import read_passwords
from demixer.page.serving import Address
from tests.page_visitor import Visitor, file_data, served_page
from tests.song_files import music, write_song, write_tiny_model


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    with served_page(folder, "--max-mb", 2, "-c", write_tiny_model(folder / "tiny")) as served:
        yield served
    assert served.log.read_text() == ""
    assert list(served.temporary.glob("music-demixer-*")) == []


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    return write_song(tmp_path_factory.mktemp("song") / "song.wav", music(44100), subtype="PCM_16")


def uploads(page):
    (root,) = page.temporary.glob("music-demixer-*")
    return root / "uploads"


# Events and files


def test_an_event_cannot_name_a_path(page, song, tmp_path):
    """The folder of everybody's uploads, a file of the machine, and another visitor's upload."""
    ada, eve = Visitor(page.url), Visitor(page.url)
    handle = ada.upload(song)
    private = write_song(tmp_path / "private.wav", music(1000))
    for path in (str(uploads(page)), str(private), handle, str(uploads(page) / handle)):
        assert eve.http.get(f"{page.url}gradio_api/queue/data?session_hash={eve.tab}").status_code == 403
        assert eve.send("receive", [file_data(path)]).status_code == 403
        assert eve.send("separate", [file_data(path), [file_data(path)], "WAV", False]).status_code == 403
    assert private.exists()
    assert "song.wav" in ada.receive(handle)
    assert ada.send("receive", [file_data(handle)]).status_code == 403  # a handle serves once


def test_an_address_is_not_fetched(page):
    asked = []

    class Listener(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(404)
            self.end_headers()

    with http.server.HTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url, eve = f"http://127.0.0.1:{server.server_port}/song.wav", Visitor(page.url)
        answers = [eve.send("receive", [file_data(url)]), eve.send("receive", [file_data("x", url=url)])]
        answers += [eve.http.get(f"{page.url}gradio_api/{kind}={url}") for kind in ("file", "proxy")]
        server.shutdown()
        thread.join()
    assert [answer.status_code for answer in answers] == [403, 403, 404, 404]
    assert asked == []


@pytest.mark.parametrize("name", ["song.html", "song.svg", "../../song.xhtml", 'so"ng.wav'])
def test_a_name_gives_no_type(page, song, name):
    ada = Visitor(page.url)
    handle = ada.upload(song, name)
    assert ada.http.get(f"{page.url}gradio_api/file={handle}").status_code == 404
    assert "1 kHz" in ada.receive(handle)
    sounds = ada.separate("tiny", "vocals", "drums")
    assert len(sounds) == 2
    for sound in sounds:
        answer = ada.http.get(sound)
        assert answer.headers["Content-Type"] == "audio/wav"
        assert answer.headers["Content-Disposition"].startswith("attachment;")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_all_formats_of_the_page_are_served():
    assert {AUDIO_FORMATS[name].suffix for name in FORMATS.values()} <= {*MEDIA_TYPES}
    assert all(kind.startswith(("audio/", "image/png", "application/zip")) for kind in MEDIA_TYPES.values())


def test_stems_are_for_their_visitor_alone(page, song):
    ada, eve = Visitor(page.url, "sametab"), Visitor(page.url, "sametab")
    ada.drop(song)
    sound, _ = ada.separate("tiny", "vocals", "bass")
    whole = ada.http.get(sound).content
    part = ada.http.get(sound, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    assert eve.http.get(sound).status_code == 404
    assert requests.get(sound).status_code == 403
    for other in ("../../song/song.wav", "..%2f..%2fsong%2fsong.wav", "/etc/passwd", "", "song_vocals.wav/"):
        assert ada.http.get(sound.rpartition("/")[0] + "/" + other).status_code == 404
    eve.do("separate", ["tiny", ["vocals"], "WAV", False])
    assert eve.songs() == {"songs": [], "chosen": "", "errors": ["drop a song first"]}  # the same tab, another visitor


def test_two_visitors_with_one_song(page, song):
    """Neither takes it away from the other."""
    ada, bob = Visitor(page.url), Visitor(page.url)
    handles = ada.upload(song), bob.upload(song)
    for visitor, handle in zip((ada, bob), handles, strict=True):
        assert "song.wav" in visitor.receive(handle)
        assert len(visitor.separate("tiny", "vocals", "drums")) == 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *[
            ("GET", path)
            for path in ("config", "docs", "openapi.json", "redoc", "gradio_api/info", "monitoring", "login")
        ],
        *[("GET", f"gradio_api/{path}") for path in ("startup-events", "openapi.json", "runs", "dev/reload", "token")],
        *[
            ("GET", path)
            for path in ("static/../../routes.py", "assets/%2e%2e/%2e%2e/x", "file=/etc/passwd", "svelte/x")
        ],
        *[("GET", f"gradio_api/{path}") for path in ("file=/etc/passwd", "file/etc/passwd", "call/receive/1")],
        *[
            ("POST", f"gradio_api/{path}")
            for path in ("call/receive", "api/receive", "run/receive", "component_server")
        ],
        *[("POST", f"gradio_api/{path}") for path in ("reset", "cancel", "process_recording", "stream/1")],
        *[("POST", f"gradio_api/{path}") for path in ("vibe-edit", "component_server", "run-history/connect")],
        *[("POST", ""), ("PUT", "api/jobs"), ("DELETE", "gradio_api/queue/join"), ("TRACE", "")],
    ],
)
def test_what_the_page_does_not_need_is_closed(page, method, path):
    prepared = requests.Request(method, page.url, json={} if method == "POST" else None).prepare()
    prepared.url = page.url + path  # as it stands: requests would resolve the dots
    with requests.Session() as http:
        assert http.send(prepared).status_code in (404, 405)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"nonsense", b"[" * 50_000, b'{"data": "x"}', b"x" * 200_000])
def test_what_is_no_event_is_refused(page, body):
    visitor = Visitor(page.url)
    answer = visitor.http.post(f"{page.url}gradio_api/queue/join", data=body)
    assert (answer.status_code, answer.text.count("\n")) == (403, 1)


def test_the_page_has_one_policy_and_no_foreign_origin(page):
    answer = requests.get(page.url)
    policy = answer.headers["Content-Security-Policy"]
    assert "http" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    scripts = dict(part.strip().partition(" ")[::2] for part in policy.split(";"))["script-src"]
    assert "'unsafe-inline'" not in scripts
    assert len(set(re.findall("'sha256-[^']+'", scripts))) >= 3
    assert "HttpOnly" in answer.headers["Set-Cookie"]


def test_an_upload_too_large_leaves_nothing(page, tmp_path):
    visitor = Visitor(page.url)
    large = tmp_path / "large.wav"
    large.write_bytes(bytes(3_000_000))
    answer = visitor.http.post(f"{page.url}gradio_api/upload", files={"files": large.read_bytes()})
    assert (answer.status_code, answer.text) == (413, "error: it has 2 MB: this page takes 2 MB\n")
    answer = visitor.http.post(f"{page.url}gradio_api/upload", data="no form")
    assert (answer.status_code, answer.text[:30]) == (400, "error: send it as multipart/fo")
    assert [file for file in uploads(page).rglob("*") if file.stat().st_size > 1_000_000] == []


# Names, sites, passwords


def guarded(host="127.0.0.1", **options):
    async def hello(scope, receive, send):
        await PlainTextResponse(scope["path"])(scope, receive, send)

    return TestClient(Guard(hello, host, **options), base_url="http://127.0.0.1:7860")


@pytest.mark.parametrize(
    ("listening", "names", "host", "status"),
    [
        ("127.0.0.1", [], "localhost:7860", 200),
        ("127.0.0.1", [], "[::1]:7860", 200),
        ("127.0.0.1", [], "LOCALHOST", 200),
        ("127.0.0.1", [], "evil.example:7860", 421),
        ("127.0.0.1", [], "192.168.1.5", 421),
        ("127.0.0.1", [], "localhost.evil.example", 421),
        ("127.0.0.1", [], "127.0.0.1@evil.example", 421),
        ("127.0.0.1", ["music.example"], "music.example", 200),
        ("127.0.0.1", [], "", 421),
        ("0.0.0.0", [], "192.168.1.5:7860", 200),
        ("0.0.0.0", [], "evil.example", 421),
        ("192.168.1.5", [], "192.168.1.5:7860", 200),
        ("192.168.1.5", [], "192.168.1.6:7860", 421),
    ],
)
def test_only_own_names_are_answered_to(listening, names, host, status):
    client = guarded(listening, names=names)
    assert client.get("/", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://127.0.0.1:7860"}, 200),
        ({"Origin": "http://127.0.0.1:3000"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "https://music.example"}, 200),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_other_sites_are_refused(headers, status):
    client = guarded(names=["music.example"])
    assert client.post("/gradio_api/queue/join", headers=headers).status_code == status
    assert client.get("/gradio_api/queue/data", headers=headers).status_code == status


def test_a_link_from_another_site_may_lead_here():
    client = guarded()
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200


def test_a_password_is_asked_for(monkeypatch):
    monkeypatch.setattr("demixer.page.guard.WRONG_PASSWORD_SECONDS", 0.0)
    client = guarded(passwords={"ada": "o:ne"})
    assert client.get("/").headers["WWW-Authenticate"].startswith("Basic")
    for user, password, status in [("ada", "o:ne", 200), ("ada", "", 401), ("", "", 401), ("bob", "o:ne", 401)]:
        assert client.get("/", auth=(user, password)).status_code == status
    for header in ("Basic", "Basic !", "Bearer YWRhOm86bmU=", "Basic /w=="):
        assert client.get("/", headers={"Authorization": header}).status_code == 401


def test_passwords_come_from_a_file(tmp_path):
    """On the command line every user of the machine could read them."""
    file = tmp_path / "passwords"
    file.write_text("# who may\nada:one\nbob:t:wo\n")
    assert read_passwords(app.parse(["--auth", str(file)]).auth) == {"ada": "one", "bob": "t:wo"}
    for wrong in ("", "ada", "ada:", ":one"):
        file.write_text(wrong)
        with pytest.raises(UserError, match="lines USER:PASSWORD"):
            read_passwords(file)
    with pytest.raises(UserError, match="No such file"):
        read_passwords(Path("nothing"))


def test_a_proxy_may_leave_its_path():
    client = guarded(root_path="/demixer")
    assert client.get("/demixer/api/jobs").text == "/api/jobs"
    assert client.get("/api/jobs").text == "/api/jobs"
    for wrong in ("demixer", "/demixer/", "/"):
        with pytest.raises(UserError, match="`--root-path`"):
            Address(root_path=wrong)
