"""What the page shows besides Gradio's own components, as HTML; every name in it is escaped."""

import json
import time
from html import escape
from pathlib import Path
from urllib.parse import quote

from demixer.figures.numbers import clock
from demixer.figures.palette import ACCENT, FOCUS, PRESSED, colors
from demixer.page.jobs import Job, Stems
from demixer.page.limits import Facts, Limits

STATIC_DIR = Path(__file__).parent / "static"
TITLE = "music demixer"


def head() -> str:
    """The mixer's code and looks, for the page's head: nothing is fetched from elsewhere."""
    style = json.dumps((STATIC_DIR / "mixer.css").read_text(encoding="utf-8"))
    script = (STATIC_DIR / "mixer.js").read_text(encoding="utf-8")
    shades = f"--press: {ACCENT}; --pressed: {PRESSED}; --focus: {FOCUS}"
    return (
        f'<link rel="icon" href="data:,"><style>:root {{ {shades} }}</style>'
        f"<script>(() => {{ const STYLE = {style};\n{script} }})();</script>"
    )


def header(limits: Limits) -> str:
    """What this is, and what it takes."""
    taken = f"Songs of at most {limits.minutes:g} minutes and {limits.megabytes:g} MB; deleted when you close the page."
    return f"<h1>{TITLE}</h1><p>Take a song apart, and listen to its stems. {taken}</p>"


def rough(seconds: float) -> str:
    """Write a time that is only estimated.

    >>> rough(4), rough(41), rough(100)
    ('5 s', '45 s', '2 min')
    """
    return f"{-(-seconds // 5) * 5:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"


def song_line(name: str, facts: Facts) -> str:
    """The song that was dropped."""
    length = "" if facts.seconds is None else f"{clock(facts.seconds)} · "
    channels = {1: "mono", 2: "stereo"}.get(facts.channels, f"{facts.channels} channels")
    detail = f"{length}{channels} · {facts.sample_rate_hz / 1000:g} kHz"
    return f'<div class="status song"><b>{escape(name)}</b><span>{detail}</span></div>'


def error_line(message: str) -> str:
    return f'<div class="status error" role="alert">error: {escape(message)}</div>'


def note_line(message: str) -> str:
    return f'<div class="status" role="status">{escape(message)}</div>'


def progress_bar(job: Job) -> str:
    """How far a job is, by the seconds of sound that have left the network."""
    share = min(1.0, job.seconds / job.total_seconds) if job.total_seconds else 0.0
    percent = round(100 * share)
    return (
        f'<div class="status progress"><div class="words"><b>{escape(_phase(job))}</b>'
        f"<span>{escape(_detail(job, share))}</span></div>"
        f'<div class="bar" role="progressbar" aria-label="progress" aria-valuenow="{percent}" aria-valuemin="0" '
        f'aria-valuemax="100"><i style="width: {100 * share:.1f}%"></i></div></div>'
    )


def _phase(job: Job) -> str:
    if job.phase == "waiting":
        ahead = job.ahead()
        return f"waiting: {ahead} song{'s' if ahead != 1 else ''} before yours" if ahead else "starting"
    return {"loading": "loading the model", "drawing": "drawing the spectrograms"}.get(job.phase, job.phase)


def _detail(job: Job, share: float) -> str:
    if job.phase != "separating":
        return ""
    if not job.total_seconds:
        return clock(job.seconds)
    done = f"{clock(job.seconds)} of {clock(job.total_seconds)}"
    if share < 0.02:
        return done
    return f"{done} · about {rough((time.monotonic() - job.began) * (1 / share - 1))} left"


def mixer(stems: Stems) -> str:
    """The element that ``static/mixer.js`` brings to life."""
    shades = colors(stems.sounds)
    rows = [
        {
            "name": name,
            "label": f"everything but {name[3:]}" if name.startswith("no_") else name,
            "color": shades[name],
            "file": sound.name,
            "url": file_url(sound),
            "picture": file_url(stems.pictures[name]),
        }
        for name, sound in stems.sounds.items()
    ]
    archive = {"file": stems.archive.name, "url": file_url(stems.archive)}
    data = {"song": stems.song, "stems": rows, "archive": archive, "notes": stems.remarks}
    return f'<stem-mixer data-mix="{escape(json.dumps(data))}"></stem-mixer>'


def file_url(path: Path) -> str:
    """The address of a file of a job's folder, from the page's own (``files.Files`` answers there)."""
    secret, folder, name = path.parts[-3:]
    return "/".join(["stems", secret, folder.removeprefix("stems"), quote(name)])
