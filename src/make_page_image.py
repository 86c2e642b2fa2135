"""Take the README's picture of the page, ``images/app.png``, with the example song: ``python make_page_image.py``.

It needs what the tests need (``requirements-dev.txt``), and the program chromium.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import soundfile
from playwright.sync_api import Page, sync_playwright

from demixer.errors import UserError, run
from demixer.paths import PROJECT_DIR, SRC_DIR

sys.path.insert(1, str(PROJECT_DIR))
from example.compose import SAMPLE_RATE_HZ, compose

PICTURE = PROJECT_DIR / "images" / "app.png"
FLAGS = ["--headless=new", "--no-sandbox", "--autoplay-policy=no-user-gesture-required"]


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        raise UserError("a picture of the page needs the program chromium: install it")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        songs = [Path(folder) / name for name in ("example.wav", "another song.wav")]
        for song in songs:
            soundfile.write(song, sum(compose().values()).T, SAMPLE_RATE_HZ)
        command = [sys.executable, str(SRC_DIR / "app.py"), "--port", "7865", "-c", "musdb18-7s"]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1280, "height": 900}, device_scale_factor=1.3125)
            page.goto(server.stdout.readline().split()[0])
            photograph(page, songs)
            browser.close()
        finally:
            server.terminate()
            server.wait()
    print(PICTURE)


def photograph(page: Page, songs: list[Path]) -> None:
    """Separate two songs, play the first, and repeat a passage of it."""
    page.set_input_files("#song input[type=file]", songs)
    page.get_by_role("button", name=re.compile("another")).first.wait_for()
    page.click("#go")
    page.wait_for_selector("stem-mixer[data-ready]", timeout=600_000)
    page.wait_for_selector("[data-phase=done] >> nth=1", timeout=600_000)
    page.get_by_role("slider", name="position").fill("4")
    page.keyboard.press("a")
    page.get_by_role("slider", name="position").fill("8")
    page.keyboard.press("b")
    page.click("stem-mixer .play")
    page.wait_for_timeout(2500)
    page.screenshot(path=PICTURE, full_page=True)


if __name__ == "__main__":
    run(main)
