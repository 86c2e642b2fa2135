"""The page from end to end: a real browser, the real server, the real engine with a tiny network."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from types import SimpleNamespace

import pytest
from playwright.sync_api import expect, sync_playwright

from demixer.checkpoints.hparams import write_hparams
from demixer.commands import demix
from tests.conftest import PROJECT_DIR
from tests.song_files import TARGETS, TINY_HPARAMS, free_port, music, write_song, write_tiny_model

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium")
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--autoplay-policy=no-user-gesture-required",
]
FILE_INPUT = "#song input[type=file]"
SECONDS = 8


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The page as ``make app`` starts it, with a fast model and one that is slow since its hop is tiny."""
    folder = tmp_path_factory.mktemp("page")
    models = [write_tiny_model(folder / name) for name in ("tiny", "slow")]
    write_hparams(models[1], TINY_HPARAMS | {"audio_params": {"window_seconds": 0.5, "hop_seconds": 0.001}})
    temporary = folder / "tmp"
    temporary.mkdir()
    command = [sys.executable, PROJECT_DIR / "src" / "app.py", "-d", "cpu", "--port", str(free_port())]
    command += ["--max-mb", "5", "--max-minutes", "0.5", "-c", *models]
    log = (folder / "log.txt").open("w+")
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
    address = process.stdout.readline().split()
    assert address, log.seek(0) or log.read()
    yield SimpleNamespace(url=address[0], process=process, temporary=temporary, tiny=models[0])
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0
    assert process.stdout.read() == "ended\n"
    assert list(temporary.glob("music-demixer-*")) == []
    log.seek(0)
    assert log.read() == ""
    process.stdout.close()
    log.close()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, server):
    """Open the page as a new visitor; whatever it fetches must come from the server itself."""
    contexts, foreign = [], []

    def open_as_visitor():
        contexts.append(browser.new_context())
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: foreign.append(f"error: {error}"))
        page.on("request", lambda request: foreign.append(request.url) if _is_foreign(request.url) else None)
        page.goto(server.url)
        page.wait_for_selector(FILE_INPUT, state="attached")
        return page

    def _is_foreign(url):
        return not url.startswith((server.url, "data:", "blob:"))

    yield open_as_visitor
    for context in contexts:
        context.close()
    assert foreign == []


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    return write_song(tmp_path_factory.mktemp("song") / "song.wav", music(SECONDS * 44100), subtype="PCM_16")


def stored(server):
    """What the server keeps of its visitors."""
    return sorted(path.name for path in server.temporary.glob("music-demixer-*/*/*/*/*") if path.is_file())


def levels(page):
    """Loudness of what is heard of each stem."""
    return page.evaluate("document.querySelector('stem-mixer').tracks.map((track) => track.loudness())")


def position(page):
    return page.evaluate("document.querySelector('stem-mixer').position")


def test_from_upload_to_download(open_page, server, song, tmp_path):
    page, other = open_page(), open_page()
    expect(page.locator("#go")).to_be_disabled()
    page.set_input_files(FILE_INPUT, song)
    expect(page.locator("#card")).to_contain_text("song.wav")
    expect(page.locator("#card")).to_contain_text("0:08 · stereo · 44.1 kHz")
    page.click("#go")
    page.wait_for_selector("stem-mixer[data-ready]")
    assert page.locator("stem-mixer section").count() == 4

    # all stems at once, in sync
    page.click("stem-mixer .play")
    page.wait_for_function("document.querySelector('stem-mixer').position > 0.5")
    assert min(levels(page)) > 1e-3
    clocks = (
        "document.querySelector('stem-mixer').tracks.map((track) => [track.buffer.length, track.buffer.sampleRate])"
    )
    assert page.evaluate(clocks) == 4 * [[SECONDS * 44100, 44100]]

    # solo, mute, volume, by mouse and by keyboard
    page.get_by_role("button", name="solo bass").click()
    page.wait_for_function("document.querySelector('stem-mixer').tracks[0].loudness() < 1e-5")
    heard = dict(zip(TARGETS, levels(page), strict=True))
    assert heard.pop("bass") > 1e-3
    assert max(heard.values()) < 1e-4
    page.keyboard.press("3")  # bass is the third: everything is heard again
    page.get_by_role("button", name="mute vocals").click()
    page.get_by_role("slider", name="volume of drums").fill("-60")
    page.wait_for_function("document.querySelector('stem-mixer').tracks[1].loudness() < 1e-5")
    assert levels(page)[0] < 1e-4 < min(levels(page)[2:])

    # seek and pause
    page.locator("stem-mixer .lane").nth(2).click(position={"x": 5, "y": 10})
    assert position(page) < 1
    page.get_by_role("slider", name="position").fill("6")
    assert 5.9 < position(page) < 7.5
    page.get_by_role("button", name="pause").click()
    stopped = position(page)
    page.wait_for_timeout(200)
    assert position(page) == stopped

    # the stems are the engine's own, and nobody else's
    with page.expect_download() as download:
        page.get_by_role("link", name="all stems").click()
    assert download.value.suggested_filename == "song_stems.zip"
    demix.main(["-i", str(song), "-o", str(tmp_path), "-c", str(server.tiny), "-d", "cpu", "--format", "wav24"])
    with zipfile.ZipFile(download.value.path()) as archive:
        assert archive.namelist() == [f"song_{target}.wav" for target in TARGETS]
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / name).read_bytes()
    with page.expect_download() as download:
        page.get_by_role("link", name="download vocals").click()
    assert download.value.suggested_filename == "song_vocals.wav"
    assert other.locator("stem-mixer").count() == 0
    expect(other.locator("#go")).to_be_disabled()

    # it goes with its visitor
    assert "song_stems.zip" in stored(server)
    page.close()
    deadline = time.monotonic() + 20
    while stored(server) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stored(server) == []


def test_a_bad_file_gets_the_line_of_the_command_line(open_page, server, tmp_path, capsys):
    bad = tmp_path / "notes.mp3"
    bad.write_text("la la la " * 1000)
    assert demix.main(["-i", str(bad), "-o", str(tmp_path), "-c", str(server.tiny), "-d", "cpu"]) == 1
    line = capsys.readouterr().err.strip().replace(str(bad), bad.name)
    page = open_page()
    page.set_input_files(FILE_INPUT, bad)
    expect(page.locator("#card [role=alert]")).to_have_text(line)
    expect(page.locator("#go")).to_be_disabled()
    assert stored(server) == []
    page.set_input_files(FILE_INPUT, write_song(tmp_path / "long.flac", music(40 * 8000, 8000), 8000, subtype=None))
    expect(page.locator("#card [role=alert]")).to_have_text(re.compile("`long.flac`: it is longer than 0.5 minutes"))
    (tmp_path / "large.wav").write_bytes(bytes(6_000_000))
    page.set_input_files(FILE_INPUT, tmp_path / "large.wav")
    expect(page.get_by_text("maximum allowed size").first).to_be_visible()
    expect(page.locator("#go")).to_be_disabled()


def test_cancelling_stops_the_work(open_page, server, song):
    page = open_page()
    page.get_by_label("model").click()
    page.get_by_role("option", name="slow").click()
    page.set_input_files(FILE_INPUT, song)
    expect(page.locator("#card")).to_contain_text("song.wav")
    page.click("#go")
    bar = page.get_by_role("progressbar")
    expect(page.locator("#status")).to_contain_text("of 0:08")
    first = float(bar.locator("i").get_attribute("style").removeprefix("width: ").rstrip("%;"))
    expect(bar.locator("i")).not_to_have_attribute("style", f"width: {first}%")
    page.click("#stop")
    expect(page.locator("#status")).to_have_text("cancelled")
    expect(page.locator("#stop")).to_be_hidden()
    assert page.locator("stem-mixer").count() == 0
    assert stored(server) == ["song.wav"]

    # the engine is free at once
    page.get_by_label("model").click()
    page.get_by_role("option", name="tiny").click()
    page.get_by_label("drums").uncheck()
    page.get_by_label("bass").uncheck()
    page.click("#go")
    page.wait_for_selector("stem-mixer[data-ready]")
    stems = page.locator("stem-mixer section").evaluate_all("rows => rows.map((row) => row.dataset.stem)")
    assert stems == ["vocals", "other"]
