"""What the page says, as plain values: ``static/*.js`` lays them out, and writes every name as text, never as HTML."""

import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from demixer.figures.numbers import clock
from demixer.figures.palette import ACCENT, FOCUS, PRESSED, colors
from demixer.page.jobs import DESCRIPTIONS, Job
from demixer.page.limits import Facts, Limits
from demixer.page.shelf import Entry, Shelf

STATIC_DIR = Path(__file__).parent / "static"
SCRIPTS = ("dom.js", "waveform.js", "track.js", "transport.js", "mixdown.js", "mixer.js", "shelf.js")  # one scope
TITLE = "music demixer"
PHASES = {
    "ready": "ready: choose below, then press Separate",
    "lined up": "waiting for the songs before it",
    "loading": "loading the model",
    "drawing": "drawing the spectrograms",
}
View = dict[str, Any]


def head() -> str:
    """The page's code and the mixer's looks, for the page's head: nothing is fetched from elsewhere."""
    style = json.dumps((STATIC_DIR / "mixer.css").read_text(encoding="utf-8"))
    script = "\n".join((STATIC_DIR / name).read_text(encoding="utf-8") for name in SCRIPTS)
    shades = f"--press: {ACCENT}; --pressed: {PRESSED}; --focus: {FOCUS}"
    return (
        f'<link rel="icon" href="data:,"><style>:root {{ {shades} }}</style>'
        f'<script>customElements.get("song-list") || (() => {{ const STYLE = {style};\n{script} }})();</script>'
    )


def header(limits: Limits) -> str:
    """What this is, and what it takes, as Markdown."""
    taken = f"Songs of at most {limits.minutes:g} minutes and {limits.megabytes:g} MB, in mono or stereo"
    kept = "deleted when you close the page"
    return f"# {TITLE}\nTake songs apart, and listen to their stems. {taken}; {kept}."


def rough(seconds: float) -> str:
    """Write a time that is only estimated.

    >>> rough(4), rough(41), rough(100)
    ('5 s', '45 s', '2 min')
    """
    return f"{-(-seconds // 5) * 5:.0f} s" if seconds < 60 else f"{seconds / 60:.0f} min"


def shelf(shelf: Shelf) -> View:
    """All songs, and what went wrong last."""
    return {"songs": [song(entry) for entry in shelf.present()], "chosen": shelf.chosen, "errors": shelf.errors}


def song(entry: Entry) -> View:
    """A line of the list: the song, how far it is, and which edition of its mixer there is."""
    job = entry.job
    heard = job is not None and job.previews is not None and entry.phase not in ("failed", "cancelled")
    return {
        "id": entry.id,
        "name": entry.name,
        "facts": facts(entry.facts),
        "phase": entry.phase,
        "busy": entry.is_busy(),
        "words": _words(entry),
        "detail": _detail(job) if job else "",
        "share": round(_share(job), 4) if job else 0.0,
        "edition": entry.edition,
        "segments": len(job.previews.segments) if heard else 0,
    }


def facts(facts: Facts) -> str:
    """What a song's header tells, where it tells its length.

    >>> facts(Facts(8.0, 44100, 2)), facts(Facts(None, 48000, 1))
    ('0:08 · stereo · 44.1 kHz', 'mono · 48 kHz')
    """
    length = "" if facts.seconds is None else f"{clock(facts.seconds)} · "
    return f"{length}{'mono' if facts.channels == 1 else 'stereo'} · {_khz(facts.sample_rate_hz)}"


def _khz(rate_hz: int) -> str:
    return f"{rate_hz / 1000:g} kHz"


def _share(job: Job) -> float:
    return min(1.0, job.seconds / job.total_seconds) if job.total_seconds else 0.0


def _words(entry: Entry) -> str:
    job, phase = entry.job, entry.phase
    if phase == "waiting":
        ahead = job.ahead()
        return f"waiting: {ahead} song{'s' if ahead != 1 else ''} of others before this one" if ahead else "starting"
    if phase == "done":
        return f"separated in {rough(job.took_seconds)}"
    if phase == "failed":
        return f"error: {entry.problem or job.error}"
    return PHASES.get(phase, phase)


def _detail(job: Job) -> str:
    if job.phase != "separating":
        return ""
    if not job.total_seconds:
        return clock(job.seconds)
    done, share = f"{clock(job.seconds)} of {clock(job.total_seconds)}", _share(job)
    if share < 0.02:
        return done
    return f"{done} · about {rough((time.monotonic() - job.began) * (1 / share - 1))} left"


def mix(entry: Entry, since: int = 0) -> View | None:
    """What the mixer plays: the stems once they are whole, before that their segments from number ``since`` on."""
    job = entry.job
    if job is None or job.previews is None or not job.previews.segments:
        return None
    previews = job.previews
    kind = f"{DESCRIPTIONS[job.order.format]} · {_khz(previews.sample_rate_hz)}"
    return {
        "song": job.song.stem,
        "edition": job.folder.name,
        "kind": kind,
        "rate_hz": previews.sample_rate_hz,
        "seconds": job.total_seconds,
        "stems": _stems(job),
        "segments": [] if job.stems else _segments(job, since),
        "archive": {"file": job.stems.archive.name, "url": file_url(job.stems.archive)} if job.stems else None,
        "notes": job.stems.remarks if job.stems else [],
    }


def _stems(job: Job) -> list[View]:
    names = job.previews.names
    shades = colors(names)
    rows = []
    for name in names:
        row = {"name": name, "label": f"everything but {name[3:]}" if name.startswith("no_") else name}
        row["color"] = shades[name]
        if job.stems:
            sound, picture = job.stems.sounds[name], job.stems.pictures[name]
            row |= {"file": sound.name, "url": file_url(sound), "picture": file_url(picture)}
        rows.append(row)
    return rows


def _segments(job: Job, since: int) -> list[View]:
    segments = job.previews.segments[since:]
    return [{"start": s.start, "samples": s.samples, "urls": [file_url(f) for f in s.files.values()]} for s in segments]


def file_url(path: Path) -> str:
    """The address of a file of a job's folder, from the page's own (``files.Files`` answers there)."""
    secret, folder, name = path.parts[-3:]
    return "/".join(["stems", secret, folder.removeprefix("stems"), quote(name)])
