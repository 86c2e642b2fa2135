"""Downloads against a server that breaks off, lies, and serves archives that would write elsewhere."""

import hashlib
import io
import stat
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
import yaml
from foreign import Magron, magron_checkpoint

from demixer.checkpoints.archive import unpack
from demixer.checkpoints.registry import download, read_registry
from demixer.errors import UserError
from demixer.separation.separator import Separator


class Server(ThreadingHTTPServer):
    """Serves ``content``; misbehaves as its attributes say, and keeps a list of the ranges that were asked for."""

    content = b""
    breaks_after: list[int]  # bytes sent by each of the next answers before the connection is closed
    ranges: list[str]
    honours_ranges = True
    status = 200


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server, asked = self.server, self.headers.get("Range", "")
        server.ranges.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and server.honours_ranges else 0
        self.send_response(206 if asked and server.honours_ranges else 200)
        self.send_header("Content-Length", str(len(server.content) - start))
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
    entry = {"about": "a", "page": "p", "url": f"http://127.0.0.1:{server.server_port}/x.zip", "licence": "MIT"}
    entry |= {"bytes": len(content), "md5": hashlib.md5(content).hexdigest(), "targets": ["vocals", "bass"]}
    file = folder / "registry.yaml"
    file.write_text(yaml.safe_dump({"tiny": entry | {"csdr_db": {"vocals": 1.0}} | changes}))
    return file


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


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path, run_script) -> None:
    with pytest.raises(UserError, match="known are bsrnn-large, bsrnn-opt, simo-bsrnn-opt"):
        download("nothing", tmp_path)
    listed = run_script("download_model")
    assert listed.returncode == 0, listed.stderr
    assert "simo-bsrnn-opt" in listed.stdout


def test_the_registry_is_complete() -> None:
    for entry in read_registry().values():
        assert len(entry.md5) == 32
        assert entry.url.startswith("https://")
        assert set(entry.csdr_db) == set(entry.targets)


def test_a_registry_that_lacks_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("tiny: {url: x, targets: [vocals]}")
    with pytest.raises(UserError, match="entries need name, about"):
        read_registry(tmp_path / "r.yaml")
