"""The page from end to end: a real browser, the real server, the real engine with a tiny network."""

import io
import re
import shutil
import time
import wave
import zipfile
from itertools import pairwise
from pathlib import Path

import axe_playwright_python
import numpy as np
import pytest
import soundfile
import torch
from playwright.sync_api import expect, sync_playwright

from demixer.checkpoints.hparams import write_hparams
from demixer.commands import demix
from demixer.temporary import atomic_path
from tests import held_page
from tests.held_page import HELD, LET
from tests.page_visitor import served_page
from tests.song_files import TARGETS, TINY_HPARAMS, music, read, write_song, write_tiny_model

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs the program chromium")
FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    "--autoplay-policy=no-user-gesture-required",
]
FILE_INPUT = "#song input[type=file]"
SECONDS = 8
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
WINDOWS_PER_SECOND = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The page as ``make app`` starts it, with a model, and the same held back by the tests."""
    folder = tmp_path_factory.mktemp("page")
    tiny, held = (write_tiny_model(folder / name) for name in ("tiny", HELD))
    audio_params = TINY_HPARAMS["audio_params"] | {"hop_seconds": 1 / WINDOWS_PER_SECOND, "batch_size": 1}
    write_hparams(held, TINY_HPARAMS | {"audio_params": audio_params})
    program = Path(held_page.__file__)
    with served_page(folder, "--max-mb", "5", "--max-minutes", "0.5", "-c", tiny, held, program=program) as page:
        page.tiny, page.let = tiny, folder / LET
        yield page
    assert list(page.temporary.glob("music-demixer-*")) == []
    assert page.log.read_text() == ""


@pytest.fixture
def let(server):
    """Lets the model that is held back separate so many seconds of a song; without them, all of it."""

    def let_seconds(seconds=None):
        if seconds is None:
            server.let.unlink(missing_ok=True)
            return
        with atomic_path(server.let) as temporary:
            temporary.write_text(str(seconds * WINDOWS_PER_SECOND))

    yield let_seconds
    let_seconds()


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

    def open_as_visitor(**options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.set_default_timeout(30_000)
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
    return sorted(path.name for path in server.temporary.glob("music-demixer-*/visitors/*/*/*") if path.is_file())


def wait_until(page, expression, seconds=30):
    """Wait until an expression is true; the page's policy forbids Playwright's own way, which compiles text in it."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def mixer(page, expression):
    """The value of an expression in the mixer's own fields."""
    return page.evaluate(f"(() => {{ const mixer = document.querySelector('stem-mixer'); return {expression}; }})()")


def levels(page):
    """Loudness of what is heard of each stem."""
    return mixer(page, "mixer.tracks.map((track) => track.loudness())")


def position(page):
    return mixer(page, "mixer.position")


def row(page, name):
    """A song's line in the list."""
    return page.locator(".songs li").filter(has=page.get_by_text(name, exact=True))


def drop(page, *songs):
    page.set_input_files(FILE_INPUT, songs)
    for song in songs:
        expect(row(page, song.name)).to_be_visible()


def choose_model(page, name):
    page.get_by_label("model").click()
    page.get_by_role("option", name=name, exact=True).click()


def separate(page, *songs, model="tiny"):
    """Drop songs, and wait for the stems of the chosen one."""
    drop(page, *songs)
    if model != "tiny":
        choose_model(page, model)
    page.click("#go")
    page.wait_for_selector("stem-mixer[data-ready]")


def test_from_upload_to_download(open_page, server, song, tmp_path):
    page, other = open_page(), open_page()
    drop(page, song)
    expect(row(page, "song.wav")).to_contain_text("0:08 · stereo · 44.1 kHz")
    page.click("#go")
    page.wait_for_selector("stem-mixer[data-ready]")
    expect(row(page, "song.wav")).to_contain_text("separated in")
    assert page.locator("stem-mixer section").count() == 4

    # all stems at once, in sync
    page.click("stem-mixer .play")
    wait_until(page, "document.querySelector('stem-mixer').position > 0.5")
    assert min(levels(page)) > 1e-3
    pieces = "mixer.tracks.map(({ pieces }) => pieces.map(({ start, end }) => [start, end]))"
    assert mixer(page, pieces) == 4 * [[[0, SECONDS * 44100]]]
    assert mixer(page, "mixer.context.sampleRate") == 44100

    # solo, mute, volume, by mouse and by keyboard
    page.get_by_role("button", name="solo bass").click()
    wait_until(page, "document.querySelector('stem-mixer').tracks[0].loudness() < 1e-5")
    heard = dict(zip(TARGETS, levels(page), strict=True))
    assert heard.pop("bass") > 1e-3
    assert max(heard.values()) < 1e-4
    page.keyboard.press("3")  # bass is the third: everything is heard again
    page.get_by_role("button", name="mute vocals").click()
    page.get_by_role("slider", name="volume of drums").fill("-60")
    wait_until(page, "document.querySelector('stem-mixer').tracks[1].loudness() < 1e-5")
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
    assert other.locator("stem-mixer, .songs li").count() == 0

    # the mix as it stands: vocals muted, drums at −∞, bass 6 dB down
    page.get_by_role("slider", name="volume of bass").fill("-6")
    with page.expect_download() as download:
        page.get_by_role("button", name="this mix").click()
    assert download.value.suggested_filename == "song_mix.wav"
    with wave.open(str(download.value.path())) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (2, 44100, 3)
    wanted = 10 ** (-6 / 20) * read(tmp_path / "song_bass.wav") + read(tmp_path / "song_other.wav")
    assert abs(read(download.value.path()) - wanted).max() <= 0.51 * 2**-23

    # it goes with its visitor
    assert "song_stems.zip" in stored(server)
    page.close()
    deadline = time.monotonic() + 20
    while stored(server) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert stored(server) == []


def test_a_mix_that_would_clip_is_made_quieter(open_page, tmp_path):
    page = open_page()
    separate(page, write_song(tmp_path / "song.wav", music(2 * 44100)))
    for name in TARGETS:
        page.get_by_role("slider", name=f"volume of {name}").fill("6")
    mixer(page, "mixer.tracks.forEach(({ pieces: [piece] }) => piece.buffer.getChannelData(1).fill(-0.25, 0, 100))")
    with page.expect_download() as download:
        page.get_by_role("button", name="this mix").click()
    left, right = read(download.value.path())
    assert (right[:100] == -(1 - 2**-23)).all()
    note = "note: the mix is 6.0 dB quieter than it sounds here, or it would clip"
    expect(page.locator("stem-mixer .notes")).to_have_text(note)
    assert 0 < abs(left).max() < 1


def test_a_bad_file_gets_the_line_of_the_command_line(open_page, server, song, tmp_path, capsys):
    """And takes nothing away: neither the stems on the screen nor the song that plays."""
    page = open_page()
    separate(page, song)
    page.click("stem-mixer .play")
    surround = write_song(tmp_path / "surround.wav", torch.zeros(6, 4410))
    bad, long = tmp_path / "notes.mp3", write_song(tmp_path / "long.flac", music(40 * 8000, 8000), 8000, subtype=None)
    bad.write_text("la la la " * 1000)
    lines = []
    for file in (bad, surround):
        assert demix.main(["-i", str(file), "-o", str(tmp_path), "-c", str(server.tiny), "-d", "cpu"]) == 1
        line = re.search("error: .*", capsys.readouterr().err).group().replace(str(file), file.name)
        lines.append(line.removesuffix(", or let `--downmix` do so"))  # which the page does not offer
    page.set_input_files(FILE_INPUT, [bad, surround, long])
    alerts = page.locator("song-list [role=alert] .error")
    expect(alerts).to_have_text([*lines, re.compile("`long.flac`: it is longer than 0.5 minutes")])
    assert page.locator(".songs li").count() == 1
    assert mixer(page, "mixer.transport.playing && mixer.hasAttribute('data-ready')")
    (tmp_path / "large.wav").write_bytes(bytes(6_000_000))
    page.set_input_files(FILE_INPUT, tmp_path / "large.wav")
    expect(page.get_by_text("maximum allowed size").first).to_be_visible()


def test_several_songs_in_a_row(open_page, song, tmp_path):
    """Each is done in its turn; what is finished stays, and the mixer shows the one that is chosen."""
    page = open_page()
    second = write_song(tmp_path / "second.wav", music(3 * 44100))
    separate(page, song, second)
    expect(row(page, "second.wav")).to_contain_text("separated in")
    assert mixer(page, "mixer.transport.length") == SECONDS * 44100
    row(page, "second.wav").locator(".pick").click()
    wait_until(page, "document.querySelector('stem-mixer[data-ready]')?.transport.length === 3 * 44100")
    expect(row(page, "second.wav").locator(".pick")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="remove second.wav").click()
    wait_until(page, "document.querySelector('stem-mixer[data-ready]')?.transport.length === 8 * 44100")
    expect(page.locator(".songs li")).to_have_count(1)


def test_cancelling_stops_the_work(open_page, server, let, tmp_path):
    page, song = open_page(), write_song(tmp_path / "cancelled.wav", music(SECONDS * 44100))
    let(2)
    choose_model(page, HELD)
    drop(page, song)
    page.click("#go")
    bar = page.get_by_role("progressbar", name="progress of cancelled.wav")
    expect(row(page, "cancelled.wav")).to_contain_text("of 0:08")
    first = bar.get_attribute("aria-valuenow")
    let(4)
    expect(bar).not_to_have_attribute("aria-valuenow", first)
    with page.expect_response("**/cancel"):
        page.get_by_role("button", name="cancel cancelled.wav").click()
    let()  # compute all that it still wants to
    expect(row(page, "cancelled.wav")).to_contain_text("cancelled")
    expect(bar).to_be_hidden()
    assert page.locator("stem-mixer").count() == 0
    assert [name for name in stored(server) if name.startswith("cancelled")] == ["cancelled.wav"]

    # the engine is free at once
    choose_model(page, "tiny")
    page.get_by_label("drums").uncheck()
    page.get_by_label("bass").uncheck()
    page.click("#go")
    page.wait_for_selector("stem-mixer[data-ready]")
    stems = page.locator("stem-mixer section").evaluate_all("rows => rows.map((row) => row.dataset.stem)")
    assert stems == ["vocals", "other"]


def test_the_first_stems_are_heard_while_the_rest_is_computed(open_page, let, song):
    """And a page that is loaded again, or was away, finds its song where it is by now."""
    page = open_page()
    drop(page, song)
    let(SECONDS - 1)
    choose_model(page, HELD)
    page.click("#go")
    page.wait_for_selector("stem-mixer[data-heard]")
    page.click("stem-mixer .play")
    wait_until(page, "document.querySelector('stem-mixer').tracks.every((track) => track.loudness() > 1e-3)")
    assert row(page, "song.wav").get_attribute("data-phase") == "separating"
    assert 0 < mixer(page, "mixer.transport.ready") < SECONDS * 44100 == mixer(page, "mixer.transport.length")
    assert mixer(page, "mixer.save.disabled")

    page.reload()  # it says goodbye, and is back at once
    page.wait_for_selector("stem-mixer[data-heard]")
    page.click("stem-mixer .play")
    page.context.set_offline(True)
    expect(page.locator("song-list .away")).to_contain_text("the connection is lost")
    page.context.set_offline(False)
    expect(page.locator("song-list .away")).to_be_empty()
    let()
    page.wait_for_selector("stem-mixer[data-ready]")
    assert mixer(page, "mixer.transport.playing")
    assert mixer(page, "mixer.tracks.map((track) => track.pieces.length)") == [1] * 4
    assert mixer(page, "mixer.transport.ready") == SECONDS * 44100
    passes = mixer(page, "mixer.transport.passes")  # one goes on exactly where the other ends
    assert all(two["at"] >= one["at"] + one["to"] - one["from"] for one, two in pairwise(passes))
    wait_until(page, "!document.querySelector('stem-mixer').transport.playing")
    assert position(page) == SECONDS


def test_what_is_scheduled_joins_without_a_gap(open_page, song):
    """Segments, and a passage that repeats, are played to the sample: rendered at once, they are the stem's samples."""
    page = open_page()
    separate(page, song)
    difference = page.evaluate(
        """async () => {
          const [track] = document.querySelector("stem-mixer").tracks;
          const { buffer } = track.pieces[0], rate = buffer.sampleRate, cuts = [0, 33333, 100001, buffer.length];
          const offline = new OfflineAudioContext(2, 2 * buffer.length, rate);
          const cut = (from, to) => {
            const part = offline.createBuffer(2, to - from, rate);
            for (const one of [0, 1]) part.copyToChannel(buffer.getChannelData(one).subarray(from, to), one);
            return pieceOf(from, part);
          };
          const pieceOf = (start, part) => ({ start, end: start + part.length, buffer: part });
          const twin = Object.assign(Object.create(Object.getPrototypeOf(track)), {
            pieces: cuts.slice(1).map((to, i) => cut(cuts[i], to)), sources: new Set(), gain: offline.destination });
          twin.schedule(offline, 0, 0, buffer.length);
          const [from, to] = [20011, 120017]; // a passage, twice
          twin.schedule(offline, buffer.length, from, to);
          twin.schedule(offline, buffer.length + to - from, from, to);
          const rendered = (await offline.startRendering()).getChannelData(1), stem = buffer.getChannelData(1);
          const at = (i) => i < buffer.length ? i : from + (i - buffer.length) % (to - from);
          let most = 0;
          for (let i = 0; i < buffer.length + 2 * (to - from); i++)
            most = Math.max(most, Math.abs(rendered[i] - stem[at(i)]));
          return most;
        }"""
    )
    assert difference == 0


def test_a_passage_repeats(open_page, song):
    page = open_page()
    separate(page, song)
    page.locator("stem-mixer .lane").nth(1).scroll_into_view_if_needed()
    lane = page.locator("stem-mixer .lane").nth(1).bounding_box()
    x = [lane["x"] + share * lane["width"] for share in (0.5, 0.6)]
    page.mouse.move(x[0], lane["y"] + 10)
    page.mouse.down()
    page.mouse.move(x[1], lane["y"] + 10, steps=3)
    page.mouse.up()
    loop = mixer(page, "mixer.transport.loop")
    assert [loop["from"] / 44100, loop["to"] / 44100] == pytest.approx([4, 4.8], abs=0.02)
    expect(page.get_by_role("button", name="stop repeating")).to_contain_text("0:04 – 0:04")
    page.click("stem-mixer .play")
    places = [position(page) for _ in range(12) if page.wait_for_timeout(150) is None]
    assert min(places) >= 3.98
    assert max(places) <= 4.82
    assert sum(later < earlier for earlier, later in pairwise(places)) >= 1
    assert mixer(page, "mixer.transport.playing")
    page.keyboard.press("Escape")
    assert mixer(page, "mixer.transport.loop") is None
    expect(page.get_by_role("button", name="stop repeating")).to_be_hidden()
    wait_until(page, "document.querySelector('stem-mixer').position > 5")

    # by keyboard: from here, up to there, and no more
    page.get_by_role("button", name="pause").click()
    for key, seconds in (("a", "2"), ("b", "3")):
        page.get_by_role("slider", name="position").fill(seconds)
        page.keyboard.press(key)
    assert mixer(page, "mixer.transport.loop") == {"from": 2 * 44100, "to": 3 * 44100}
    page.get_by_role("button", name="stop repeating").click()
    assert mixer(page, "mixer.transport.loop") is None
    assert page.evaluate("document.querySelector('stem-mixer').shadowRoot.activeElement.title") == "repeat from here"


def test_a_second_click_before_the_sound_begins(open_page, song):
    """Stops it, and starts nothing twice."""
    page = open_page()
    separate(page, song)
    mixer(page, "[mixer.button.click(), mixer.button.click()]")
    page.wait_for_timeout(300)
    assert not mixer(page, "mixer.transport.playing")
    assert max(levels(page)) == 0
    mixer(page, "[mixer.button.click(), mixer.button.click(), mixer.button.click()]")
    wait_until(page, "document.querySelector('stem-mixer').position > 0.3")
    assert mixer(page, "mixer.tracks.map((track) => track.sources.size)") == [1] * 4
    page.get_by_role("button", name="pause").click()
    page.wait_for_timeout(200)
    assert max(levels(page)) < 1e-4


def test_a_song_of_48_khz(open_page, tmp_path):
    """Plays at its speed, and its stems may keep its rate; so does the mix."""
    page = open_page()
    page.get_by_label("at the song's own sample rate").check()
    separate(page, write_song(tmp_path / "song.wav", music(2 * 48000, 48000), 48000))
    expect(page.locator("stem-mixer .kind")).to_have_text("stems: WAV, 24 bit · 48 kHz")
    assert mixer(page, "[mixer.context.sampleRate, mixer.transport.length, mixer.slider.max]") == [48000, 96000, "2"]
    page.click("stem-mixer .play")
    wait_until(page, "document.querySelector('stem-mixer').position > 0.1")
    clock = "[mixer.context.currentTime, mixer.position]"
    before = mixer(page, clock)
    page.wait_for_timeout(500)
    after = mixer(page, clock)
    assert after[1] - before[1] == pytest.approx(after[0] - before[0], abs=1e-3)
    with page.expect_download() as download:
        page.get_by_role("button", name="this mix").click()
    with page.expect_download() as archive:
        page.get_by_role("link", name="all stems").click()
    with zipfile.ZipFile(archive.value.path()) as file:
        stems = [soundfile.read(io.BytesIO(file.read(name))) for name in file.namelist()]
    mix, rate_hz = soundfile.read(download.value.path())
    assert {rate for _, rate in stems} == {rate_hz} == {48000}
    assert np.abs(mix - sum(samples for samples, _ in stems)).max() <= 0.51 * 2**-23


# For everybody


def test_nothing_is_read_out_while_it_plays(open_page, song):
    """A clock in a live region would be announced every second, and so would a slider's value that moves."""
    page = open_page()
    separate(page, song)
    page.click("stem-mixer .play")
    page.wait_for_timeout(200)
    page.evaluate(
        """() => {
          window.spoken = [];
          const live = "output, [aria-live]:not([aria-live=off]), [role=status], [role=alert], [role=log]";
          const root = document.querySelector("stem-mixer").shadowRoot;
          const seen = (changes) => changes.forEach(({ target, type }) => {
            const element = target.closest ? target : target.parentElement;
            if (type === "attributes" || element?.closest(live)) window.spoken.push(element.outerHTML);
          });
          const what = { subtree: true, childList: true, characterData: true };
          for (const part of [document.body, root]) new MutationObserver(seen).observe(part, what);
          for (const slider of root.querySelectorAll("input"))
            new MutationObserver(seen).observe(slider, { attributeFilter: ["aria-valuetext", "aria-valuenow"] });
        }"""
    )
    wait_until(page, "document.querySelector('stem-mixer').position > 2.2")
    assert page.locator("stem-mixer .time").inner_text() == "0:02 / 0:08"
    assert page.evaluate("window.spoken") == []
    page.get_by_role("slider", name="position").focus()  # who wants to know goes there
    said = page.get_by_role("slider", name="position").get_attribute("aria-valuetext")
    assert re.fullmatch("0:0[2-4] of 0:08", said)


def violations(page, state):
    """What axe-core finds, of consequence."""
    if not page.evaluate("Boolean(window.axe)"):
        page.evaluate(AXE)
    found = page.evaluate("axe.run(document)")
    assert len(found["passes"]) > 20
    serious = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
    return [(state, one["id"], node["target"]) for one in serious for node in one["nodes"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_page, let, song, tmp_path, scheme):
    page = open_page(color_scheme=scheme, viewport={"width": 1280 if scheme == "light" else 390, "height": 900})
    found = violations(page, "empty")
    (tmp_path / "notes.wav").write_text("la la la")
    page.set_input_files(FILE_INPUT, [song, tmp_path / "notes.wav"])
    expect(page.locator("song-list [role=alert] .error")).to_be_visible()
    expect(row(page, "song.wav")).to_be_visible()
    found += violations(page, "with a song")
    let(SECONDS - 1)
    choose_model(page, HELD)
    page.click("#go")
    page.wait_for_selector("stem-mixer[data-heard]")
    found += violations(page, "while separating")
    let()
    page.wait_for_selector("stem-mixer[data-ready]")
    page.keyboard.press("a")
    page.get_by_role("button", name="solo bass").click()
    page.get_by_role("button", name="mute drums").click()
    found += violations(page, "with stems")
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")  # nothing sticks out


FOCUSED = """() => {
  let element = document.activeElement;
  while (element?.shadowRoot?.activeElement) element = element.shadowRoot.activeElement;
  if (!element || element === document.body) return null;
  const { outlineStyle, outlineWidth, boxShadow } = getComputedStyle(element);
  const visible = (outlineStyle !== "none" && parseFloat(outlineWidth) >= 1) || boxShadow !== "none";
  const text = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent;
  return [text.trim().replace(/\\s+/g, " "), visible];
}"""


def test_everything_by_keyboard(open_page, song):
    page = open_page()
    drop(page, song)
    page.wait_for_timeout(300)

    def focus(name):
        """Press tab until the control of this name has the focus; all on the way must show that they have it."""
        for _ in range(60):
            page.keyboard.press("Tab")
            text, visible = page.evaluate(FOCUSED) or ("", True)
            assert visible, f"nobody sees that {text!r} has the focus"
            passed.append(text)
            if name in text:
                return
        raise AssertionError(f"{name!r} is not reached: {passed}")

    passed = []
    focus("song.wav")
    focus("Separate")
    wanted = ("remove song.wav", "model", "vocals", "WAV", "own sample")
    assert [name for name in wanted if not any(name in text for text in passed)] == []
    page.keyboard.press("Enter")
    page.wait_for_selector("stem-mixer[data-ready]")
    for name in ("to the start", "play", "position", "repeat from here", "repeat up to here", "this mix", "all stems"):
        focus(name)
    for stem in TARGETS:
        for name in (f"download {stem}", f"mute {stem}", f"solo {stem}", f"volume of {stem}"):
            focus(name)
    page.keyboard.press("ArrowLeft")  # a fader takes the arrows for itself
    assert mixer(page, "[mixer.tracks[3].db, mixer.position]") == [-0.5, 0]
    page.keyboard.press("Space")  # and leaves the other keys to the mixer
    wait_until(page, "document.querySelector('stem-mixer').transport.playing")
    page.keyboard.press("Shift+Digit2")
    assert mixer(page, "mixer.tracks.map((track) => track.muted)") == [False, True, False, False]


def test_keys_are_left_to_fields(open_page, song):
    page = open_page()
    separate(page, song)
    page.evaluate(
        """() => document.body.append(
          document.createElement("textarea"), Object.assign(document.createElement("p"), { contentEditable: true }))"""
    )
    fields = [page.locator("textarea"), page.locator("p[contenteditable]")]
    for field in (*fields, page.get_by_label("model"), page.get_by_label("FLAC")):
        field.focus()
        for key in ("Space", "1", "Shift+Digit2", "a", "ArrowRight", "Escape"):
            page.keyboard.press(key)
    assert mixer(page, "mixer.tracks.filter((track) => track.soloed || track.muted).length") == 0
    assert mixer(page, "[mixer.transport.playing, mixer.transport.loop, mixer.position]") == [False, None, 0]
    page.get_by_role("button", name="mute vocals").focus()
    page.keyboard.press("Space")  # presses the button, and starts nothing
    assert mixer(page, "[mixer.tracks[0].muted, mixer.transport.playing]") == [True, False]
