"""The page's sessions, limits, turns and jobs, without a browser (that is test_app_browser.py)."""

import os
import threading
import zipfile

import pytest
import torch
from PIL import Image

from demixer.commands import app
from demixer.errors import UserError
from demixer.figures.spectrogram import height
from demixer.page.jobs import Engine, Order
from demixer.page.limits import Limits
from demixer.page.models import Models
from demixer.page.pictures import COLUMNS, draw_spectrogram
from demixer.page.sessions import Sessions
from demixer.page.turns import Turns
from demixer.separation.separator import Separator
from tests.page_visitor import wait_until
from tests.song_files import TARGETS, music, read, write_song, write_tiny_model


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return Models([str(write_tiny_model(tmp_path_factory.mktemp("models") / "tiny"))], "cpu")


@pytest.fixture
def sessions(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened = Sessions(Limits(megabytes=1, minutes=0.1))
    yield opened
    opened.close()


def upload(sessions, name="song.wav", seconds=1.0, **options):
    """A file where the server puts what it receives."""
    return write_song(sessions.uploads.new_folder() / name, music(round(44100 * seconds)), **options)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "lock")


class SlowModels:
    """A model that separates a window only when it is told to: a job can be met in the middle of its work."""

    def __init__(self):
        self.windows, self.go = 0, threading.Semaphore(0)

    def load(self, name):
        def network(mixture):
            assert self.go.acquire(timeout=30)
            self.windows += 1
            return mixture.unsqueeze(1)

        separator = Separator(network, ["vocals"], 44100)
        separator.audio_params = type(separator.audio_params)(window_seconds=0.1, hop_seconds=0.1, batch_size=1)
        return separator


# Limits and orders


def test_facts_of_a_song(sessions):
    facts = sessions.limits.check(upload(sessions, seconds=1.5))
    assert (facts.seconds, facts.sample_rate_hz, facts.channels) == (1.5, 44100, 2)


def test_too_large_too_long_and_no_audio(sessions):
    with pytest.raises(UserError, match="it has 4 MB: this page takes 1 MB"):
        sessions.limits.check(upload(sessions, seconds=10))
    with pytest.raises(UserError, match=r"it is longer than 0\.1 minutes"):
        sessions.limits.check(upload(sessions, "song.ogg", seconds=10, subtype="VORBIS"))
    (sessions.uploads.folder / "empty.mp3").touch()
    with pytest.raises(UserError, match="the file is empty"):
        sessions.limits.check(sessions.uploads.folder / "empty.mp3")


@pytest.mark.parametrize("name", ["megabytes", "minutes", "keep_minutes"])
def test_limits_are_positive(name):
    with pytest.raises(UserError, match=r"must be above 0"):
        Limits(**{name: 0})


def test_an_order_is_checked():
    with pytest.raises(UserError, match="at least one stem"):
        Order("tiny", ())
    with pytest.raises(UserError, match="`format`"):
        Order("tiny", ("vocals",), "exe")
    assert Order("tiny", ("vocals",)).options().two_stems == "vocals"
    assert Order("tiny", ("vocals", "bass"), "MP3").options().format == "mp3"


def test_a_visitor_names_models_and_no_paths(models, tmp_path):
    write_tiny_model(tmp_path / "private")
    assert models.names == ["tiny"]
    assert models.load("tiny") is models.load("tiny")
    with pytest.raises(UserError, match="here: choose one of tiny"):
        models.load(str(tmp_path / "private"))


def test_models_are_checked_at_the_start(tmp_path):
    one, two = (write_tiny_model(tmp_path / folder / "same") for folder in "ab")
    with pytest.raises(UserError, match="the same name"):
        Models([str(one), str(two)])
    with pytest.raises(UserError, match="no model at"):
        Models([str(tmp_path / "nothing")])


def test_the_address_is_this_machine_unless_told():
    assert app.parse([]).host == "127.0.0.1"
    assert app.parse(["--host", "0.0.0.0", "--port", "80"]).host == "0.0.0.0"


# Sessions


def test_a_song_is_taken_over_and_leaves_with_its_visitor(sessions):
    session = sessions.of("ada")
    session.receive(upload(sessions), sessions.limits)
    assert files(sessions.root) == [f"visitors/{session.folder.name}/song/song.wav"]
    sessions.leave("ada")
    assert files(sessions.root) == []
    assert not session.folder.exists()


def test_visitors_do_not_meet(sessions):
    ada, bob = sessions.of("ada"), sessions.of("bob")
    assert sessions.of("ada") is ada
    assert ada.folder != bob.folder
    assert min(len(one.folder.name) for one in (ada, bob)) >= 32  # 24 random bytes: nobody guesses that
    assert sessions.root.stat().st_mode & 0o077 == 0
    ada.receive(upload(sessions), sessions.limits)
    assert bob.song is None
    sessions.leave("bob")
    assert ada.song.exists()


def test_a_bad_file_is_named_and_nothing_of_it_stays(sessions):
    session = sessions.of("ada")
    bad = sessions.uploads.new_folder() / "notes.mp3"
    bad.parent.mkdir()
    bad.write_text("la la la" * 100)
    with pytest.raises(UserError, match=r"^`notes\.mp3`: it is no audio, or damaged beyond decoding$"):
        session.receive(bad, sessions.limits)
    assert session.song is None
    assert files(sessions.root) == []


def test_what_nobody_uses_is_deleted_after_a_time(sessions):
    session = sessions.of("ada")
    session.receive(upload(sessions), sessions.limits)
    left = upload(sessions, "left.wav")
    sessions.sweep()
    assert len(files(sessions.root)) == 2
    session.used -= 60 * 60 + 1
    for path in (left, left.parent):
        os.utime(path, (0, 0))
    sessions.sweep()
    assert files(sessions.root) == []
    assert sessions.of("ada") is not session


def test_everything_goes_with_the_page(sessions):
    sessions.of("ada").receive(upload(sessions), sessions.limits)
    upload(sessions)
    sessions.close()
    assert not sessions.root.exists()


# Turns and jobs


def test_a_job_writes_what_the_engine_writes(sessions, models):
    session = sessions.of("ada")
    session.receive(upload(sessions), sessions.limits)
    job = session.start(Order("tiny", TARGETS), Engine(models, sessions.limits))
    assert job.ended.wait(60)
    assert (job.phase, job.error) == ("done", "")
    assert job.seconds == pytest.approx(1.0)
    assert {name: path.name for name, path in job.stems.sounds.items()} == {t: f"song_{t}.wav" for t in TARGETS}
    with zipfile.ZipFile(job.stems.archive) as archive:
        assert archive.namelist() == [f"song_{target}.wav" for target in TARGETS]
        assert archive.read("song_bass.wav") == job.stems.sounds["bass"].read_bytes()
    wanted = models.load("tiny")(music(44100))["drums"].numpy()
    assert abs(read(job.stems.sounds["drums"]) - wanted).max() < 1e-6


def test_one_stem_comes_with_everything_else(sessions, models):
    session = sessions.of("ada")
    session.receive(upload(sessions), sessions.limits)
    job = session.start(Order("tiny", ("bass",), "FLAC"), Engine(models, sessions.limits))
    assert job.ended.wait(60)
    assert [path.name for path in job.stems.sounds.values()] == ["song_bass.flac", "song_no_bass.flac"]
    total = sum(read(path) for path in job.stems.sounds.values())
    assert abs(total - music(44100).numpy()).max() < 1e-6


def test_cancelling_stops_between_windows(sessions):
    slow, session = SlowModels(), sessions.of("ada")
    session.receive(upload(sessions), sessions.limits)
    job = session.start(Order("slow", ("vocals",)), Engine(slow, sessions.limits))
    slow.go.release(3)
    wait_until(lambda: slow.windows == 3)
    assert job.phase == "separating"
    assert 0 < job.seconds < job.total_seconds == 1.0
    with pytest.raises(UserError, match="being separated"):
        session.start(Order("slow", ("vocals",)), Engine(slow, sessions.limits))
    job.cancel()
    slow.go.release(2)  # the window that is being computed, and the look-ahead of a fade
    assert job.ended.wait(20)
    assert job.phase == "cancelled"
    assert slow.windows <= 5
    assert files(session.folder) == ["song/song.wav"]


def test_a_song_that_turns_out_too_long_is_stopped(sessions, models, monkeypatch):
    """A header may lie, or say nothing: what is decoded counts."""
    session = sessions.of("ada")
    session.receive(upload(sessions, seconds=2), sessions.limits)
    job = session.start(Order("tiny", TARGETS), Engine(models, Limits(minutes=1 / 60)))
    assert job.ended.wait(60)
    assert job.error.startswith("`song.wav`: it is longer than 0.0166667 minutes")
    assert files(session.folder) == ["song/song.wav"]


def test_songs_wait_for_their_turn_and_may_give_up():
    turns, order, hold = Turns(waiting=2), [], threading.Event()

    def work(name):
        with turns.turn(name):
            order.append(name)
            hold.wait(20)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("first", "second", "third")]
    for count, thread in enumerate(threads, 1):
        thread.start()
        wait_until(lambda count=count: len(turns._queue) == count)
    assert [turns.before(name) for name in ("first", "second", "third")] == [0, 1, 2]
    with pytest.raises(UserError, match="2 songs wait already"), turns.turn("fourth"):
        pass
    hold.set()
    for thread in threads:
        thread.join(20)
    assert order == ["first", "second", "third"]
    with turns.turn("later"):
        assert turns.before("later") == 0


def test_a_waiting_job_is_cancelled_without_work(sessions):
    slow, engine = SlowModels(), None
    engine = Engine(slow, sessions.limits)
    jobs = []
    for visitor in ("ada", "bob"):
        session = sessions.of(visitor)
        session.receive(upload(sessions, f"{visitor}.wav"), sessions.limits)
        jobs.append(session.start(Order("slow", ("vocals",)), engine))
        wait_until(lambda job=jobs[-1]: job in engine.turns._queue)
    assert jobs[1].ahead() == 1
    sessions.leave("bob")
    assert jobs[1].phase == "cancelled"
    assert slow.windows == 0
    slow.go.release(100)
    assert jobs[0].ended.wait(20)
    assert jobs[0].phase == "done"


# What is shown


def test_a_tone_has_its_place_in_the_spectrogram(tmp_path):
    """Also where a block of the file is shorter than a window: nothing of the tone leaks beyond its rows."""
    seconds = torch.arange(20 * 44100, dtype=torch.float64) / 44100
    tone = (0.5 * torch.sin(2 * torch.pi * 3000 * seconds) * (seconds > 10)).float()
    draw_spectrogram(write_song(tmp_path / "tone.wav", tone.expand(2, -1)), tmp_path / "tone.png")
    with Image.open(tmp_path / "tone.png") as picture:
        width, count = picture.size
        brightness = torch.tensor(list(picture.convert("L").tobytes())).view(count, width).float().flip(0)
    assert 0.99 * COLUMNS < width <= COLUMNS
    assert brightness[:, : width // 2 - 5].max() < 5
    rows = brightness[:, width // 2 + 5 :]
    assert (rows.mean(dim=1).argmax().item() + 0.5) / count == pytest.approx(height(3000, 44100), abs=1 / count)
    assert (rows[:, :-5].amax(dim=1) > 5).sum() <= 12


def test_a_song_shorter_than_the_picture_is_drawn(tmp_path):
    draw_spectrogram(write_song(tmp_path / "short.wav", music(10)), tmp_path / "short.png")
    assert (tmp_path / "short.png").stat().st_size > 0
