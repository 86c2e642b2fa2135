"""A visitor's songs: lined up, heard while they are separated, kept; and what the page says of them."""

import json
import re
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from demixer.errors import UserError
from demixer.figures.palette import COLORS
from demixer.page import views
from demixer.page.jobs import Engine, Order
from demixer.page.layout import Page
from demixer.page.limits import Limits
from demixer.page.sessions import Sessions
from demixer.page.shelf import Shelf, Shelves
from tests.page_visitor import wait_until
from tests.song_files import TARGETS, music, noise, read, share_separator, write_song

SHARES = {"vocals": 0.5, "drums": 0.3, "bass": 0.1, "other": 0.1}


class Models:
    """Offers one network that gives shares of the mixture; it computes as many windows as it is let."""

    names = ("shares",)

    def __init__(self, windows=10**6):
        self.let, self.done = threading.Semaphore(windows), 0

    def load(self, name):
        separator = share_separator(SHARES, batch_size=1)
        network = separator.network

        def computed(mixture):
            assert self.let.acquire(timeout=30)
            self.done += 1
            return network(mixture)

        separator.network = computed
        return separator


@pytest.fixture
def models():
    return Models()


@pytest.fixture
def sessions(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened = Sessions(Limits(megabytes=10, minutes=0.5))
    yield opened
    opened.close()


@pytest.fixture
def shelf(sessions, models):
    return Shelf("ada", sessions, Engine(models, sessions.limits))


def upload(sessions, name="song.wav", waveform=None, rate_hz=44100):
    folder = sessions.uploads.new_folder()
    return write_song(folder / name, music(44100) if waveform is None else waveform, rate_hz)


def ended(shelf):
    wait_until(lambda: not any(entry.is_busy() for entry in shelf.entries.values()))
    return list(shelf.entries.values())


# Several songs


def test_songs_are_separated_one_after_the_other(shelf, sessions, models):
    models.let = threading.Semaphore(2)
    shelf.receive([upload(sessions, f"{name}.wav") for name in "abc"])
    shelf.start(Order("shares", TARGETS))
    wait_until(lambda: models.done == 2)
    assert [entry.phase for entry in shelf.entries.values()] == ["separating", "lined up", "lined up"]
    assert [views.song(entry)["words"] for entry in shelf.present()][1] == "waiting for the songs before it"
    with pytest.raises(UserError, match="is being separated"):
        shelf.start(Order("shares", TARGETS))  # a second click on the button
    first, second, _ = shelf.entries.values()
    shelf.cancel(second)
    models.let.release(1000)
    assert [entry.phase for entry in ended(shelf)] == ["done", "ready", "done"]
    kept = first.job.stems
    shelf.receive([upload(sessions, "d.wav")])
    shelf.start(Order("shares", ("bass",)))
    assert [entry.phase for entry in ended(shelf)] == ["done"] * 4
    assert first.job.stems is kept  # what is finished stays
    assert list(second.job.stems.sounds) == ["bass", "no_bass"]
    shelf.start(Order("shares", ("drums",)))  # none waits: the chosen one again
    ended(shelf)
    assert list(first.job.stems.sounds) == ["drums", "no_drums"]


def test_a_song_too_many_does_not_stay(shelf, sessions, monkeypatch):
    """It lay on the disk for an hour, and counted for nobody's quota."""
    monkeypatch.setattr("demixer.page.shelf.MOST_SONGS", 1)
    shelf.receive([upload(sessions, "a.wav"), upload(sessions, "b.wav")])
    assert shelf.errors == ["`b.wav`: 1 songs are here already: remove some"]
    assert [path for path in sessions.uploads.folder.rglob("*") if path.is_file()] == []


def test_a_visitor_with_many_songs_leaves_a_place_in_the_queue(shelf, sessions, models):
    models.let = threading.Semaphore(0)
    shelf.receive([upload(sessions, f"{number}.wav") for number in range(3)])
    shelf.start(Order("shares", TARGETS))
    other = Shelf("bob", sessions, shelf.engine)
    other.receive([upload(sessions)])
    wait_until(lambda: next(iter(shelf.entries.values())).phase == "separating")
    other.start(Order("shares", TARGETS))
    (entry,) = other.entries.values()
    wait_until(lambda: entry.phase == "waiting")
    assert views.song(entry)["words"] == "waiting: 1 song of others before this one"
    models.let.release(1000)
    wait_until(lambda: entry.phase == "done")
    ended(shelf)


def test_a_wrong_file_takes_nothing_away(shelf, sessions):
    shelf.receive([upload(sessions)])
    shelf.start(Order("shares", TARGETS))
    (entry,) = ended(shelf)
    notes = upload(sessions, "notes.wav")
    notes.write_text("la la la" * 100)
    shelf.receive([notes, upload(sessions, "surround.wav", torch.zeros(6, 100)), upload(sessions, "more.wav")])
    assert shelf.errors == [
        "`notes.wav`: it is no audio, or damaged beyond decoding",
        "`surround.wav`: it has 6 channels: mix it down to stereo first",  # before the queue, not behind it
    ]
    assert [one.name for one in shelf.present()] == ["song.wav", "more.wav"]
    assert all(sound.exists() for sound in entry.job.stems.sounds.values())
    assert list(sessions.uploads.folder.rglob("*.*")) == []


def test_one_song_is_removed_and_the_others_stay(shelf, sessions):
    shelf.receive([upload(sessions, "a.wav"), upload(sessions, "b.wav")])
    first, second = shelf.entries.values()
    assert shelf.chosen == first.id
    shelf.remove(first)
    assert (shelf.present(), shelf.chosen) == ([second], second.id)
    assert not first.session.folder.exists()
    with pytest.raises(UserError, match="drop a song first"):
        Shelf("bob", sessions, shelf.engine).start(Order("shares", TARGETS))


def test_who_has_no_room_is_told_at_the_song(shelf, sessions):
    shelf.receive([upload(sessions)])
    sessions._total_bytes = 0
    shelf.start(Order("shares", TARGETS))
    (entry,) = ended(shelf)
    assert views.song(entry)["words"].startswith("error: `song.wav`: the page has no room for it now")


def test_songs_wait_for_who_loads_the_page_again(sessions, models, monkeypatch):
    shelves = Shelves(sessions, Engine(models, sessions.limits))
    shelf = shelves.of("ada")
    shelf.receive([upload(sessions)])
    (entry,) = shelf.entries.values()
    shelf.closing()
    assert entry.session.left
    assert shelves.known("ada").present() == [entry]  # the page is back, and asks for its songs
    assert entry.session.left is None
    shelf.closing()
    monkeypatch.setattr("demixer.page.sessions.LEAVE_SECONDS", -1.0)
    sessions.sweep()
    assert views.shelf(shelves.known("ada")) == {"songs": [], "chosen": "", "errors": []}
    assert not entry.session.folder.exists()
    assert shelves.known("bob") is None


def test_one_file_may_come_without_a_list(sessions, models):
    shelves = Shelves(sessions, Engine(models, sessions.limits))
    request = SimpleNamespace(session_hash="ada.tab")
    page = Page(shelves.engine, shelves)
    page.receive(str(upload(sessions)), request)
    page.receive(None, request)
    assert [entry.name for entry in shelves.of("ada").present()] == ["song.wav"]


# What is heard before the end


@pytest.mark.parametrize("stems", [TARGETS, ("bass",)])
def test_segments_join_to_what_is_written(shelf, sessions, monkeypatch, stems):
    """To the sample: the mixer goes over from the ones to the other while it plays."""
    monkeypatch.setattr("demixer.page.previews.SEGMENT_SECONDS", 0.5)
    shelf.receive([upload(sessions, waveform=noise(2 * 44100))])
    shelf.start(Order("shares", stems))
    (entry,) = ended(shelf)
    previews = entry.job.previews
    assert len(previews.segments) > 2
    assert all(segment.samples >= 0.5 * 44100 for segment in previews.segments[:-1])
    for name, sound in entry.job.stems.sounds.items():
        parts = [read(segment.files[name]) for segment in previews.segments]
        assert [part.shape[-1] for part in parts] == [segment.samples for segment in previews.segments]
        joined, written = np.concatenate(parts, axis=-1), read(sound)
        assert joined.shape == written.shape
        assert abs(joined - written).max() <= 2 * 2**-23  # steps of 24 bits
        assert previews.segments[2].start == parts[0].shape[-1] + parts[1].shape[-1]


def test_stems_can_be_heard_while_the_rest_is_computed(shelf, sessions, models):
    models.let = threading.Semaphore(20)  # 0.2 s each
    shelf.receive([upload(sessions, waveform=noise(10 * 44100))])
    shelf.start(Order("shares", TARGETS))
    (entry,) = shelf.entries.values()
    wait_until(lambda: models.done == 20)
    wait_until(lambda: views.song(entry)["segments"])
    mix = views.mix(entry)
    assert (entry.phase, mix["archive"], mix["rate_hz"], mix["seconds"]) == ("separating", None, 44100, 10.0)
    (segment,) = mix["segments"]
    assert len(segment["urls"]) == len(mix["stems"]) == 4
    assert views.mix(entry, since=1)["segments"] == []
    files = [file for one in entry.job.previews.segments for file in one.files.values()]
    assert all(file.exists() for file in files)
    entry.job.cancel()
    models.let.release(1000)
    ended(shelf)
    assert not any(file.exists() for file in files)
    assert (views.song(entry)["segments"], views.song(entry)["words"]) == (0, "cancelled")


def test_a_song_may_keep_its_rate(shelf, sessions):
    shelf.receive([upload(sessions, waveform=music(48000, 48000), rate_hz=48000)])
    shelf.start(Order("shares", ("drums", "bass"), keep_rate=True))
    (entry,) = ended(shelf)
    mix = views.mix(entry)
    assert (mix["rate_hz"], mix["kind"]) == (48000, "WAV, 24 bit · 48 kHz")
    assert read(entry.job.stems.sounds["drums"]).shape == (2, 48000)
    shelf.start(Order("shares", ("drums", "bass")))
    ended(shelf)
    assert views.mix(entry)["rate_hz"] == 44100
    assert read(entry.job.stems.sounds["drums"]).shape == (2, 44100)


# What is said


def test_each_stem_has_a_colour_of_its_own(shelf, sessions, monkeypatch):
    """The code and looks of the page name none by themselves."""
    names = ["vocals", "guitar", "strings", "wind"]
    separator = share_separator(dict.fromkeys(names, 0.25))
    monkeypatch.setattr(shelf.engine.models, "load", lambda name: separator)
    shelf.receive([upload(sessions)])
    shelf.start(Order("shares", tuple(names)))
    (entry,) = ended(shelf)
    shades = [stem["color"] for stem in views.mix(entry)["stems"]]
    assert shades[:2] == [COLORS["vocals"], COLORS["guitar"]]
    assert len(set(shades)) == 4
    shelf.start(Order("shares", ("vocals",)))
    ended(shelf)
    assert [stem["color"] for stem in views.mix(entry)["stems"]] == [COLORS["vocals"], COLORS["mixture"]]
    assert [stem["label"] for stem in views.mix(entry)["stems"]] == ["vocals", "everything but vocals"]
    files = "".join(file.read_text(encoding="utf-8") for file in views.STATIC_DIR.iterdir()).upper()
    assert [shade for shade in COLORS.values() if shade in files] == []
    assert f"--press: {COLORS['vocals']};" in views.head()


def test_the_page_has_one_script_that_needs_no_eval():
    """And no handler stands in HTML: a strict policy forbids both."""
    head = views.head()
    assert {file.name for file in views.STATIC_DIR.glob("*.js")} == {*views.SCRIPTS}
    assert len(re.findall("<script", head)) == 1
    for forbidden in ("eval(", "new Function", "innerHTML", "outerHTML", "insertAdjacentHTML", 'setAttribute("style'):
        assert forbidden not in head, forbidden
    assert re.search(r"<[^>]+\son\w+=", head) is None


def test_names_are_data_and_no_html(shelf, sessions):
    name = "<img src=x onerror=alert(1)>.wav"
    shelf.receive([upload(sessions, name)])
    assert views.shelf(shelf)["songs"][0]["name"] == name  # static/dom.js writes it as text
    assert json.loads(json.dumps(views.shelf(shelf)))["songs"][0]["words"] == views.PHASES["ready"]
