"""Downloads against a server that breaks off, lies, and serves archives that would write elsewhere."""

import hashlib
import io
import resource
import stat
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests
import torch
import yaml
from foreign import Magron, magron_checkpoint

from demixer.checkpoints.archive import unpack
from demixer.checkpoints.download import Expected, Session, fetch
from demixer.checkpoints.locking import only_one
from demixer.checkpoints.obtaining import download
from demixer.checkpoints.registry import read_registry
from demixer.errors import UserError
from demixer.separation.separator import Separator


class Server(ThreadingHTTPServer):
    """Serves ``content``; misbehaves as its attributes say, and keeps a list of the ranges that were asked for."""

    content = b""
    breaks_after: list[int]  # bytes sent by each of the next answers before the connection is closed
    ranges: list[str]
    honours_ranges = True
    status = 200
    kind = "application/octet-stream"
    leads_to = ""


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range", "")
        server.ranges.append(asked)
        if server.leads_to:
            self.send_response(302)
            self.send_header("Location", server.leads_to)
            self.end_headers()
            return
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.honours_ranges else 0
        self.send_response(206 if asked and server.honours_ranges else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
        self.send_header("Content-Type", server.kind)
        if asked and server.honours_ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(server.content) - 1}/{len(server.content)}")
        self.end_headers()
        body = server.content[start:]
        self.wfile.write(body[: server.breaks_after.pop(0)] if server.breaks_after else body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.breaks_after, running.ranges = [], []
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def archive(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as content:
        for name, data in files.items():
            content.writestr(name, data)
    return stream.getvalue()


def model_archive(prefix: str = "bsrnn-opt/") -> bytes:
    files = {}
    for target in ("vocals", "bass"):
        stream = io.BytesIO()
        torch.save(magron_checkpoint(Magron([2, 3, 2, 26]), target), stream)
        files[f"{prefix}{target}.ckpt"] = stream.getvalue()
    return archive(files)


def register(folder: Path, server: Server, content: bytes, **changes: object) -> Path:
    """Serve ``content`` and write a registry that expects it, or something else."""
    server.content = content
    file = {"name": "x.zip", "url": f"http://127.0.0.1:{server.server_port}/x.zip", "bytes": len(content)}
    return write_registry(folder, file | {"md5": hashlib.md5(content).hexdigest()} | changes)


def write_registry(folder: Path, *files: dict[str, object], **changes: object) -> Path:
    """A registry of the model ``tiny`` and the name ``little``."""
    entry = {"about": "a", "by": "b", "page": "p", "architecture": "bsrnn", "targets": ["vocals", "bass"]}
    entry |= {"licence": "MIT", "scores_db": {"vocals": 1.0}, "measured": "m", "verified": False, "files": list(files)}
    tiny = entry | {"read_in": {"files": "page"}} | changes
    registry = folder / "registry.yaml"
    names = {"little": {"model": "tiny", "purpose": "tests"}, "fast": {"model": "musdb18-7s", "purpose": "here"}}
    registry.write_text(yaml.safe_dump({"models": {"tiny": tiny}, "sources": {"page": "a page"}, "names": names}))
    return registry


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


@pytest.mark.parametrize("prefix", ["bsrnn-opt/", "", "outputs/bsrnn-opt/"])
def test_a_model_is_fetched_verified_and_usable(tmp_path: Path, server: Server, prefix: str) -> None:
    registry, output = register(tmp_path, server, model_archive(prefix)), tmp_path / "out"
    folder = download("tiny", output, registry)
    assert left(folder) == ["bass.ckpt", "vocals.ckpt"]
    assert left(output) == ["tiny"]
    assert Separator.from_pretrained(folder, device="cpu").targets == ("vocals", "bass")
    assert download("tiny", output, registry) == folder
    assert len(server.ranges) == 1, "what is there is not fetched again"


def test_a_broken_off_download_goes_on(tmp_path: Path, server: Server) -> None:
    content = model_archive()
    registry, output = register(tmp_path, server, content), tmp_path / "out"
    server.breaks_after = [1000, 5000]
    folder = download("tiny", output, registry, pause_seconds=0.01)
    assert server.ranges == ["bytes=0-", "bytes=1000-", "bytes=6000-"]
    assert left(folder) == ["bass.ckpt", "vocals.ckpt"]


def test_it_goes_on_in_a_later_call_and_says_so(tmp_path: Path, server: Server) -> None:
    content = model_archive()
    registry, output = register(tmp_path, server, content), tmp_path / "out"
    server.breaks_after = [100] * 5
    with pytest.raises(UserError, match=rf"broke off at 500 of {len(content)} bytes, 5 times .*goes on from there"):
        download("tiny", output, registry, pause_seconds=0.001)
    assert left(output) == ["tiny.zip.part"]
    download("tiny", output, registry)
    assert server.ranges[-1] == "bytes=500-"
    assert left(output) == ["tiny"]


def test_a_server_without_ranges_starts_again(tmp_path: Path, server: Server) -> None:
    registry, output = register(tmp_path, server, model_archive()), tmp_path / "out"
    server.honours_ranges, server.breaks_after = False, [1000]
    download("tiny", output, registry, pause_seconds=0.01)
    assert left(output) == ["tiny"]


def test_wrong_bytes_are_not_put_in_place(tmp_path: Path, server: Server) -> None:
    content = model_archive()
    registry, output = register(tmp_path, server, content), tmp_path / "out"
    server.content = content[:-1] + bytes([content[-1] ^ 1])
    found, meant = (hashlib.md5(data).hexdigest() for data in (server.content, content))
    with pytest.raises(UserError, match=f"md5 {found} instead of {meant}.*correct the registry"):
        download("tiny", output, registry)
    assert left(output) == ["tiny.zip.unverified"]
    server.content = content
    download("tiny", output, registry)
    assert left(output) == ["tiny"]


def test_a_corrected_registry_needs_no_second_download(tmp_path: Path, server: Server) -> None:
    content, output = model_archive(), tmp_path / "out"
    with pytest.raises(UserError, match="instead of 00"):
        download("tiny", output, register(tmp_path, server, content, md5="00"))
    download("tiny", output, register(tmp_path, server, content))
    assert len(server.ranges) == 1
    assert left(output) == ["tiny"]


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_wrong_size_is_said_before_anything_is_fetched(tmp_path: Path, server: Server, difference: int) -> None:
    content, output = model_archive(), tmp_path / "out"
    registry = register(tmp_path, server, content, bytes=len(content) + difference)
    with pytest.raises(
        UserError, match=f"is {len(content)} bytes long, and {len(content) + difference} are registered"
    ):
        download("tiny", output, registry)
    assert left(output) == []


def test_a_refusing_server_is_one_clear_line(tmp_path: Path, server: Server, run_script) -> None:
    registry = register(tmp_path, server, b"x")
    server.status = 404
    result = run_script("download_model", "tiny", "--registry", registry, "-o", tmp_path / "out")
    assert result.returncode == 2
    assert "answers 404" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "name", ["../evil.ckpt", "a/../../evil.ckpt", "/tmp/evil.ckpt", "C:\\evil.ckpt", "..\\evil.ckpt"]
)
def test_an_archive_cannot_write_outside_of_its_folder(tmp_path: Path, server: Server, name: str) -> None:
    content = archive({"vocals.ckpt": b"x", name: b"evil"})
    output = tmp_path / "out"
    with pytest.raises(UserError, match=r"refused: it would write outside of its folder, to `.*evil"):
        download("tiny", output, register(tmp_path, server, content))
    assert left(output) == ["tiny.zip"]
    assert not list(tmp_path.rglob("*evil*"))


def test_links_bombs_and_broken_archives_are_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("vocals.ckpt")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    file, folder = tmp_path / "x.zip", tmp_path / "x"
    with zipfile.ZipFile(file, "w") as content:
        content.writestr(link, "/etc/passwd")
    with pytest.raises(UserError, match="is a link"):
        unpack(file, folder)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as content:
        content.writestr("vocals.ckpt", bytes(3 << 20))
    with pytest.raises(UserError, match="would unfold to 3145728 bytes"):
        unpack(file, folder)
    file.write_bytes(b"no zip")
    with pytest.raises(UserError, match="cannot unpack"):
        unpack(file, folder)
    assert left(tmp_path) == ["x.zip"]


def test_an_unknown_name_leads_to_the_nearest(tmp_path: Path, server: Server) -> None:
    registry = register(tmp_path, server, b"x")
    with pytest.raises(UserError, match="no model 'tinny' to download: did you mean tiny"):
        download("tinny", tmp_path, registry)
    with pytest.raises(UserError, match="known are fast, little and those of demix --list-models"):
        download("zzz", tmp_path, registry)


def test_a_name_for_people_fetches_its_model(tmp_path: Path, server: Server) -> None:
    registry = register(tmp_path, server, model_archive())
    assert download("little", tmp_path / "out", registry) == tmp_path / "out" / "tiny"
    with pytest.raises(UserError, match="'fast' came with this program, there is nothing to download"):
        download("fast", tmp_path / "out", registry)


def test_a_model_of_two_files_appears_whole(tmp_path: Path, server: Server, caplog) -> None:
    server.content = b"x" * 1_500_000
    url, good = f"http://127.0.0.1:{server.server_port}/", hashlib.sha256(server.content).hexdigest()
    weights = {"name": "weights.ckpt", "url": f"{url}a", "bytes": len(server.content), "sha256": good}
    settings = {"name": "settings.yaml", "url": f"{url}b", "bytes": len(server.content)}
    output = tmp_path / "out"
    with pytest.raises(UserError, match="sha256"):
        download("tiny", output, write_registry(tmp_path, weights, settings | {"sha256": "0" * 64}))
    assert left(output) == ["tiny.ckpt", "tiny.yaml.unverified"], "no folder, and what was right is not fetched again"
    caplog.clear()
    folder = download("tiny", output, write_registry(tmp_path, weights, settings))
    assert (left(output), left(folder)) == (["tiny"], ["settings.yaml", "weights.ckpt"])
    assert caplog.messages == [
        "tiny: 3 MB are downloaded from p, licence: MIT",
        "its sums are unverified, passed on by a page; none is known of settings.yaml",
        f"sha256: weights.ckpt {good}, settings.yaml {good}",
    ]


def test_a_web_page_is_not_taken_for_a_model(tmp_path: Path, server: Server) -> None:
    registry, server.kind = register(tmp_path, server, b"<!DOCTYPE html>", md5=None), "text/html; charset=utf-8"
    with pytest.raises(UserError, match=r"x\.zip answers with a web page instead of the file"):
        download("tiny", tmp_path / "out", registry)
    assert left(tmp_path / "out") == []


@pytest.mark.parametrize(
    "url", ["nonsense", "http://", "http://[", "ftp://127.0.0.1/x.zip", "http://\x1b[31m:x/", "file:///x"]
)
def test_an_address_that_is_none_is_a_line_at_once(tmp_path: Path, url: str) -> None:
    with pytest.raises(UserError, match="cannot download"):
        fetch(url, tmp_path / "x.zip", Expected(1, {}), pause_seconds=1000)


def test_a_circle_of_redirects_is_a_line_at_once(tmp_path: Path, server: Server) -> None:
    registry, server.leads_to = register(tmp_path, server, b"x"), "/again"
    with pytest.raises(UserError, match="Exceeded 10 redirects"):
        download("tiny", tmp_path / "out", registry, pause_seconds=1000)


@pytest.mark.parametrize("target", ["http://elsewhere/x.zip", "ftp://elsewhere/x.zip"])
def test_https_stays_https(target: str) -> None:
    answer = requests.Response()
    answer.status_code, answer.url, answer.headers["Location"] = 302, "https://here/x.zip", target
    with Session() as session:
        with pytest.raises(UserError, match=f"https://here/x.zip leads on to {target}, which is not encrypted"):
            session.get_redirect_target(answer)
        answer.headers["Location"] = "/other.zip"
        assert session.get_redirect_target(answer) == "/other.zip"


def test_a_certificate_that_is_none_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def get(*_: object, **__: object) -> None:
        raise requests.exceptions.SSLError("certificate verify failed: self-signed certificate")

    monkeypatch.setattr(Session, "get", get)
    with pytest.raises(UserError, match="cannot be trusted: certificate verify failed"):
        fetch("https://x/x.zip", tmp_path / "x.zip", Expected(1, {}), pause_seconds=1000)


def test_a_server_that_cannot_be_reached_is_said_so(tmp_path: Path, server: Server) -> None:
    registry = register(tmp_path, server, b"x")
    server.socket.close()  # nobody listens
    with pytest.raises(UserError, match=r"cannot be reached, 5 times \(.*refused"):
        download("tiny", tmp_path / "out", registry, pause_seconds=0.001)


def test_an_archive_that_is_there_is_verified_first(tmp_path: Path, server: Server) -> None:
    content, output = model_archive(), tmp_path / "out"
    registry = register(tmp_path, server, content)
    output.mkdir()
    (output / "tiny.zip").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(UserError, match=r"tiny\.zip` is not the file that is registered: md5 .*Remove it"):
        download("tiny", output, registry)
    assert left(output) == ["tiny.zip"]
    (output / "tiny.zip").write_bytes(content)
    download("tiny", output, registry)
    assert (left(output), server.ranges) == (["tiny"], [])


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_either_sum_is_verified(tmp_path: Path, server: Server, algorithm: str) -> None:
    content = model_archive()
    both = {name: hashlib.new(name, content).hexdigest() for name in ("md5", "sha256")}
    wrong = register(tmp_path, server, content, **both | {algorithm: "0" * len(both[algorithm])})
    with pytest.raises(UserError, match=f"{algorithm} {both[algorithm]} instead of 0000"):
        download("tiny", tmp_path / "out", wrong)
    only = {"md5": None, "sha256": None, algorithm: both[algorithm]}
    assert download("tiny", tmp_path / "out", register(tmp_path, server, content, **only)).is_dir()


def test_of_two_downloads_one_waits_for_the_other(tmp_path: Path, server: Server, caplog) -> None:
    registry, output, found = register(tmp_path, server, model_archive()), tmp_path / "out", []
    output.mkdir()
    second = Thread(target=lambda: found.append(download("tiny", output, registry)))
    with only_one(output / ".tiny.lock", "downloads tiny"):
        second.start()
        while not caplog.messages:
            second.join(0.01)
        assert (left(output), server.ranges) == ([".tiny.owner"], [])
    second.join()
    assert "downloads tiny already: waiting for it" in caplog.messages[0]
    assert caplog.messages[0].startswith("process ")
    assert (found, left(output), len(server.ranges)) == ([output / "tiny"], ["tiny"], 1)


def test_what_the_disk_refuses_is_a_line(tmp_path: Path, server: Server) -> None:
    registry = register(tmp_path, server, model_archive())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"cannot download tiny to .*file`: .*(File exists|Not a directory)"):
        download("tiny", tmp_path / "file", registry)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # what a full disk does to whoever writes
    try:
        with pytest.raises(UserError, match=r"cannot download tiny to .*: File too large"):
            download("tiny", tmp_path / "out", registry)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert left(tmp_path / "out") == ["tiny.zip.part"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"models": {"../evil": {}}}, "is no name of a model"),
        ({"models": {"tiny": 7}}, "must be settings by name"),
        ({"models": {}, "tiny": {}}, "there is no setting 'tiny'"),
        ([1], "must be settings by name"),
    ],
)
def test_a_registry_of_another_shape_is_refused(tmp_path: Path, content: object, reason: str) -> None:
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=reason):
        read_registry(tmp_path / "r.yaml")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"about": None}, "tiny.about"),
        ({"licence": None}, "tiny.licence"),
        ({"targets": "vocals"}, "tiny.targets`.* must be a list of names"),
        ({"targets": [1]}, "tiny.targets`.* must be a list of names"),
        ({"files": []}, "tiny.files`.* must be a list of files"),
        ({"files": [{"name": "../x.zip", "url": "u", "bytes": 1}]}, "tiny.files.name`.* must be the name of"),
        ({"read_in": {"files": "elsewhere"}}, "tiny.read_in.files`.* must be one of page"),
        ({"verified": "maybe"}, "tiny.verified`.* must be one of True, False"),
        ({"measured": None}, "tiny.measured"),
    ],
)
def test_an_entry_that_lacks_something_is_refused(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    file = {"name": "x.zip", "url": "https://x/x.zip", "bytes": 1}
    with pytest.raises(UserError, match=reason):
        read_registry(write_registry(tmp_path, **{"files": [file]} | changes))
