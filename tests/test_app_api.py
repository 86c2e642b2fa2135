"""The page for programs, with a real client; and its quotas."""

import io
import time
import zipfile

import pytest
import requests
from live_stand_in import write_tiny_live_model

from demixer import Separator
from demixer.checkpoints.hparams import write_hparams
from tests.page_visitor import served_page
from tests.song_files import TARGETS, TINY_HPARAMS, music, read, write_song, write_tiny_model


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    tiny, slow = (write_tiny_model(folder / name) for name in ("tiny", "slow"))
    write_hparams(slow, TINY_HPARAMS | {"audio_params": {"window_seconds": 0.5, "hop_seconds": 0.008, "shifts": 8}})
    live = write_tiny_live_model(folder / "live")
    with served_page(folder, "--max-mb", 3, "--visitor-mb", 20, "-c", tiny, slow, live) as served:
        served.tiny, served.live = tiny, live
        yield served
    assert served.log.read_text() == ""


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    return write_song(tmp_path_factory.mktemp("song") / "song.wav", music(2 * 44100), subtype="PCM_16")


def post(page, song, **fields):
    with song.open("rb") as content:
        return requests.post(f"{page.url}api/jobs", files={"song": (song.name, content)}, data=fields, timeout=30)


def done(page, answer):
    """What is told of a job at its end."""
    end = time.monotonic() + 60
    while (state := requests.get(page.url + answer.json()["links"]["self"][1:], timeout=30).json())["status"] not in (
        *("done", "failed", "cancelled"),
    ):
        assert time.monotonic() < end
        assert 0 <= state["progress"] <= 1
        time.sleep(0.05)
    return state


def stored(page):
    return [path.name for path in page.temporary.glob("music-demixer-*/visitors/**/*") if path.is_file()]


@pytest.mark.parametrize("model", ["tiny", "live"])
def test_from_a_song_to_stems(page, song, tmp_path, model):
    answer = post(page, song, model=model)
    assert answer.status_code == 201
    assert answer.headers["Location"] == answer.json()["links"]["self"]
    state = done(page, answer)
    assert (state["status"], state["progress"], state["error"]) == ("done", 1.0, None)
    assert [*state["links"]["stems"]] == list(TARGETS)
    wanted = Separator.from_pretrained(getattr(page, model), "cpu")(read(song).astype("float32"), 44100)
    archive = zipfile.ZipFile(io.BytesIO(requests.get(page.url + state["links"]["zip"][1:]).content))
    for name, link in state["links"]["stems"].items():
        stem = requests.get(page.url + link[1:])
        assert stem.headers["Content-Type"] == "audio/wav"
        assert stem.headers["Content-Disposition"] == f'attachment; filename="song_{name}.wav"'
        assert archive.read(f"song_{name}.wav") == stem.content
        (tmp_path / "stem.wav").write_bytes(stem.content)
        assert abs(read(tmp_path / "stem.wav") - wanted[name]).max() < 1e-4
    itself = page.url + state["links"]["self"][1:]
    assert requests.delete(itself).status_code == 204
    assert [requests.get(itself).status_code, requests.delete(itself).status_code] == [404, 404]
    assert stored(page) == []


def test_one_place_in_line_for_each(page, song):
    """Whoever has a song in line waits for it, or cancels it; the line says so."""
    first = post(page, song, model="slow", stems="vocals,bass", format="FLAC")
    second = post(page, song, model="tiny")
    assert (second.status_code, second.headers["Retry-After"]) == (429, "30")
    assert second.json() == {"error": "a song of yours is in line already: wait for it, or cancel it"}
    assert requests.delete(page.url + first.json()["links"]["self"][1:]).status_code == 204
    third = post(page, song, model="tiny", stems=["vocals"], format="MP3")
    assert [*done(page, third)["links"]["stems"]] == ["vocals", "no_vocals"]
    requests.delete(page.url + third.json()["links"]["self"][1:])
    assert stored(page) == []


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"model": "none"}, "no model 'none' here: choose one of tiny, slow, live"),
        ({"stems": "vocals, flute"}, "`stems` (='flute') must be some of vocals, drums, bass, other"),
        ({"format": "exe"}, "`format` (='exe') must be one of WAV, FLAC, MP3"),
        ({"keep_rate": "yes"}, "`keep_rate` (='yes') must be true or false"),
        ({"device": "cuda"}, "a job has the fields song (a file), model, stems, format, keep_rate, not `device`"),
    ],
)
def test_a_wrong_field_is_named(page, song, fields, line):
    answer = post(page, song, **fields)
    assert (answer.status_code, answer.json()) == (400, {"error": line})
    assert stored(page) == []


def test_the_song_of_a_wrong_job_does_not_stay(page, song):
    """It lay on the disk for an hour, and counted for nobody's quota."""
    assert post(page, song, format="exe").status_code == 400
    assert [path for path in page.temporary.glob("music-demixer-*/uploads/**/*") if path.is_file()] == []


def test_wrong_files_are_named(page, tmp_path):
    bad, large = tmp_path / "notes.mp3", tmp_path / "large.wav"
    bad.write_text("la la la " * 100)
    large.write_bytes(bytes(5_000_000))
    answer = post(page, bad)
    assert (answer.status_code, answer.json()["error"][:12]) == (400, "`notes.mp3`:")
    answer = post(page, large)
    assert (answer.status_code, answer.json()) == (413, {"error": "it has 5 MB: this page takes 3 MB"})
    answer = requests.post(f"{page.url}api/jobs", data={"model": "tiny"})
    assert (answer.status_code, "\n" in answer.json()["error"]) == (400, False)
    assert stored(page) == []


def test_a_visitor_has_so_much_disk(page, tmp_path):
    """Six seconds in four stems may take 23 MB while they are made."""
    answer = post(page, write_song(tmp_path / "long.wav", music(6 * 44100), subtype="PCM_16"))
    assert answer.status_code == 429
    assert "20 MB that each visitor has" in answer.json()["error"]
    assert stored(page) == []


def test_nobody_guesses_a_job(page):
    for path in ("api/jobs/x", "api/jobs/x/zip", "api/jobs/x/stems/vocals"):
        answer = requests.get(page.url + path)
        assert (answer.status_code, [*answer.json()]) == (404, ["error"])
    assert requests.get(f"{page.url}api/jobs").status_code == 404
