"""What stays and what goes: folders of killed pages, a sweeper that meets trouble, songs of who comes back."""

import signal
import subprocess
import sys
import time

import pytest

from demixer.errors import UserError
from demixer.page.limits import Limits, QuotaError
from demixer.page.places import Place
from demixer.page.sessions import LEAVE_SECONDS, Sessions
from tests.page_visitor import wait_until
from tests.song_files import music, write_song


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@pytest.fixture
def sessions(temporary):
    opened = Sessions(Limits(megabytes=1, minutes=0.1, visitor_megabytes=3, total_megabytes=5))
    yield opened
    opened.close()


def upload(sessions, name="song.wav"):
    return write_song(sessions.uploads.new_folder() / name, music(44100))


def test_the_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(temporary):
    code = "from demixer.page.places import Place; print(Place('page-').folder, flush=True); sys.stdin.read()"
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys, tempfile; tempfile.tempdir = {str(temporary)!r}; {code}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = temporary / process.stdout.readline().strip().rpartition("/")[2]
    (temporary / "page-strange").mkdir()
    first = Place("page-")
    assert folder.exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    second = Place("page-")
    assert sorted(temporary.iterdir()) == sorted([first.folder, second.folder, temporary / "page-strange"])
    first.close()
    second.close()
    assert [path.name for path in temporary.iterdir()] == ["page-strange"]


def test_the_sweeper_survives_trouble(temporary, capfd):
    place, calls = Place("page-"), []

    def sweep():
        calls.append(len(calls))
        if len(calls) == 1:
            raise OSError("the disk is away")

    place.sweep_every(0.01, sweep)
    wait_until(lambda: len(calls) >= 3)
    place.close()
    assert "OSError: the disk is away" in capfd.readouterr().err


def test_the_sweeper_survives_that_its_folder_is_gone(sessions, capfd):
    """One request could take the folder of all uploads away, and with it the thread."""
    for folder in sessions.root.glob("*s"):
        folder.rename(folder.with_suffix(".away"))
    with pytest.raises(FileNotFoundError):
        sessions.sweep()
    time.sleep(2.2)
    assert sessions._place._sweeper.is_alive()
    assert "FileNotFoundError" in capfd.readouterr().err


def test_a_wrong_file_leaves_the_song_that_was_there(sessions):
    session = sessions.of("ada.song")
    session.receive(upload(sessions), sessions.limits)
    before = session.song
    wrong = sessions.uploads.new_folder() / "notes.mp3"
    wrong.parent.mkdir()
    wrong.write_text("la la la" * 100)
    with pytest.raises(UserError, match="no audio"):
        session.receive(wrong, sessions.limits)
    assert session.song == before
    assert before.exists()
    assert not wrong.exists()


def test_who_closes_a_page_may_come_back_at_once(sessions):
    session = sessions.of("ada.song")
    session.receive(upload(sessions), sessions.limits)
    sessions.closing("ada.song")
    session.left -= LEAVE_SECONDS - 1
    sessions.sweep()
    assert sessions.known("ada.song") is session
    sessions.sweep()
    assert session.song.exists()
    sessions.closing("ada.song")
    session.left -= LEAVE_SECONDS + 1
    sessions.sweep()
    assert sessions.known("ada.song") is None
    assert not session.folder.exists()


def test_who_is_here_keeps_his_songs(sessions):
    """An hour of mixing without a click: the open page asks now and then."""
    session = sessions.of("ada.song")
    for _ in range(3):
        session.used -= 60 * sessions.limits.keep_minutes - 1
        sessions.known("ada.song")
        sessions.sweep()
    assert sessions.known("ada.song") is session


def test_each_and_all_have_so_much_room(sessions):
    with sessions.room("ada", 2e6):
        with pytest.raises(QuotaError, match="3 MB that each visitor has"), sessions.room("ada", 2e6):
            pass
        with sessions.room("bob", 2.5e6), pytest.raises(QuotaError, match="no room"), sessions.room("cid", 1e6):
            pass
    with sessions.room("ada", 2.9e6):  # what was kept free is free again
        pass


@pytest.mark.parametrize("name", ["visitor_megabytes", "total_megabytes"])
def test_quotas_are_positive_numbers(name):
    for value in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UserError, match="must be above 0"):
            Limits(**{name: value})
