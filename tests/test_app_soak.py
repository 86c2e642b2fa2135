"""Many visitors at once, for a while: what the page holds afterwards is what it held before.

The short form runs with the suite, ``make soak`` runs the long one. Both print what was measured (``-s`` shows it).
"""

import os
import random
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from tests.page_visitor import Visitor, served_page
from tests.song_files import music, write_song, write_tiny_model

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
GROWTH_MB = 150  # of allocators and caches, however long it runs
SETTLE_SECONDS = 40.0


def measured(page):
    """Resident memory in MB, threads, and files of visitors with their bytes."""
    lines = Path(f"/proc/{page.process.pid}/status").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    files = []
    for folder, _, names in os.walk(page.temporary):  # what is deleted meanwhile is left out
        for name in set(names) - {"lock"}:
            with suppress(OSError):
                files.append((Path(folder) / name).stat().st_size)
    return int(facts["VmRSS"].split()[0]) / 1024, int(facts["Threads"]), len(files), sum(files)


def settled(page):
    """The same, once nothing of any visitor is left."""
    end = time.monotonic() + SETTLE_SECONDS
    while measured(page)[2] and time.monotonic() < end:
        time.sleep(0.2)
    return measured(page)


class Life:
    """One visitor's: songs of his own, in one way or the other."""

    def __init__(self, page, songs, folder, number):
        self.page, self.songs, self.name = page, songs, f"visitor{number}"
        self.random = random.Random(number)
        self.song = write_song(folder / f"{self.name}.wav", music(2 * 44100, channels=1) / (number + 1), subtype=None)
        self.bad = folder / f"{self.name}.mp3"
        self.bad.write_text("la la la " * 100)
        self.problem, self.sounds = None, []
        self.thread = threading.Thread(target=self.live)
        self.thread.start()

    def live(self):
        try:
            for _ in range(self.songs):
                self.random.choices((self.mix, self.cancel, self.bad_file, self.close_at_once), (7, 1, 1, 1))[0]()
        except Exception as error:
            self.problem = f"{self.name}: {error!r}"

    def mix(self):
        visitor = Visitor(self.page.url)
        visitor.drop(self.song)
        sounds = visitor.separate("tiny", "vocals", "drums")
        assert [self.name in sound for sound in sounds] == [True, True]
        assert [song["name"] for song in visitor.songs()["songs"]] == [self.song.name]
        assert visitor.http.get(sounds[0], timeout=60).content[:4] == b"RIFF"
        assert {requests.get(sound, timeout=60).status_code for sound in sounds} == {403}  # a stranger, same address
        self.sounds += sounds
        visitor.close()

    def cancel(self):
        visitor = Visitor(self.page.url)
        visitor.drop(self.song)
        visitor.do("separate", ["tiny", ["bass"], "MP3", False])
        (song,) = visitor.songs()["songs"]
        visitor.http.post(f"{self.page.url}songs/{song['id']}/cancel", timeout=60)
        visitor.close()

    def bad_file(self):
        visitor = Visitor(self.page.url)
        assert f"`{self.bad.name}`: it is no audio" in visitor.drop(self.bad)
        visitor.close()

    def close_at_once(self):
        visitor = Visitor(self.page.url)
        visitor.upload(self.song)
        visitor.drop(self.song)
        visitor.do("separate", ["tiny", ["bass"], "WAV", False])
        visitor.close()


def crowd(page, visitors, songs, folder):
    """So many visitors at once, so many songs each; gives the addresses of all stems."""
    lives = [Life(page, songs, folder, number) for number in range(visitors)]
    for life in lives:
        life.thread.join()
    assert [life.problem for life in lives if life.problem] == []
    return [sound for life in lives for sound in life.sounds]


@pytest.mark.parametrize(
    ("visitors", "songs"),
    [(6, 3), pytest.param(30, 7, marks=[pytest.mark.slow, pytest.mark.soak])],
    ids=["short", "long"],
)
def test_what_a_crowd_leaves_behind(tmp_path, visitors, songs):
    model = write_tiny_model(tmp_path / "tiny")
    with served_page(tmp_path, "--keep-minutes", 0.2, "-c", model) as page:
        crowd(page, 3, 2, tmp_path)  # the first songs load what all use
        before = settled(page)
        sounds = crowd(page, visitors, songs, tmp_path)
        crowded = measured(page)
        after = settled(page)
        print(f"\n{visitors} visitors, {visitors * songs} songs, {len(sounds)} stems: memory, threads, files, bytes")
        for when, facts in (("before", before), ("crowded", crowded), ("after", after)):
            print(f"{when:8}{facts[0]:6.0f} MB {facts[1]:4} {facts[2]:4} {facts[3]:10}")
        assert (before[2:], after[2:]) == ((0, 0), (0, 0))
        assert after[0] < before[0] + GROWTH_MB
        assert after[1] <= before[1] + 45  # the web server's workers, 40 of Gradio's among them, stay
        assert {requests.get(sound, timeout=60).status_code for sound in sounds} == {404}
        crowd(page, 1, 1, tmp_path)  # the sweeper and the queue are alive
        assert settled(page)[2] == 0
    assert page.log.read_text() == ""
    assert list(page.temporary.glob("music-demixer-*")) == []
