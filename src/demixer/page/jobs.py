"""One visitor's song on its way to stems, in a thread of its own."""

import time
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from demixer.errors import UserError, one_line, shown
from demixer.page.limits import Limits
from demixer.page.models import Models
from demixer.page.pictures import draw_spectrogram
from demixer.page.previews import Previews
from demixer.page.turns import Cancelled, Turns
from demixer.songs.finding import find_songs
from demixer.songs.options import Options
from demixer.songs.separating import separate_song

FORMATS = {"WAV": "wav24", "FLAC": "flac", "MP3": "mp3"}  # as the page calls them: as the engine does
DESCRIPTIONS = {"WAV": "WAV, 24 bit", "FLAC": "FLAC, 24 bit", "MP3": "MP3, variable bit rate"}


class Engine:
    """What all jobs share: the models, the limits, and the queue."""

    def __init__(self, models: Models, limits: Limits) -> None:
        self.models, self.limits = models, limits
        self.turns = Turns(limits.waiting)


@dataclass(frozen=True)
class Order:
    """What a visitor chose.

    Args:
        model: a name of :class:`demixer.page.models.Models`.
        stems: the targets; a single one is written together with everything else.
        format: a key of :data:`FORMATS`.
        keep_rate: stems at the song's own sample rate, not at the model's.

    Raises:
        UserError: nothing is chosen, or an unknown format.
    """

    model: str
    stems: tuple[str, ...]
    format: str = "WAV"
    keep_rate: bool = False

    def __post_init__(self) -> None:
        if not self.stems:
            raise UserError("choose at least one stem")
        if self.format not in FORMATS:
            raise UserError(f"`format` (={self.format!r}) must be one of {', '.join(FORMATS)}")

    def options(self) -> Options:
        single = self.stems[0] if len(self.stems) == 1 else None
        return Options(None if single else self.stems, single, FORMATS[self.format], self.keep_rate)


@dataclass(frozen=True)
class Stems:
    """What came of a job: sounds and their spectrograms by name, all sounds as one file, and remarks of the engine."""

    song: str
    sounds: dict[str, Path]
    pictures: dict[str, Path]
    archive: Path
    remarks: list[str] = field(default_factory=list)


class Job:
    """A song's separation; :meth:`start` it, look at its progress, :meth:`cancel` it.

    Args:
        song: the file.
        folder: where its stems go.
        order: what the visitor chose.
        engine: what all jobs share.

    Attributes:
        phase: waiting, loading, separating, drawing; then done, failed or cancelled.
        seconds, total_seconds: how much of the song is separated, and how much there is, if that is known.
        began: when separating began, on the monotonic clock.
        took_seconds: from there to the end, once the phase is "done".
        previews: what can be heard before that.
        stems: the result, once the phase is "done".
        error: the reason, once the phase is "failed".
    """

    def __init__(self, song: Path, folder: Path, order: Order, engine: Engine) -> None:
        self.song, self.folder, self.order, self.engine = song, folder, order, engine
        self.phase = "waiting"
        self.seconds, self.total_seconds, self.began, self.took_seconds = 0.0, None, 0.0, 0.0
        self.previews: Previews | None = None
        self.stems: Stems | None = None
        self.error = ""
        self.ended, self._cancelled = Event(), Event()
        self._thread = Thread(target=self._run, name="separation", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def cancel(self, wait_seconds: float = 0.0) -> None:
        """Stop before the next windows are computed; nothing of the stems stays. Wait for it that long."""
        self._cancelled.set()
        self.ended.wait(wait_seconds)

    def ahead(self) -> int:
        """How many songs come before."""
        return self.engine.turns.before(self)

    def _run(self) -> None:
        try:
            with self.engine.turns.turn(self, self._check):
                self.stems = self._separate()
            self.took_seconds = time.monotonic() - self.began
            self.phase = "done"
        except Cancelled:
            self.phase = "cancelled"
        except (UserError, OSError) as error:
            self._fail(getattr(error, "strerror", None) or one_line(error))
        except Exception:
            traceback.print_exc()
            self._fail("a fault of this program, told in its terminal")
        finally:
            if self.previews and self.stems is None:  # else a mixer may still be fetching them: they go with the stems
                self.previews.delete()
            self.ended.set()

    def _fail(self, reason: str) -> None:
        self.error, self.phase = f"`{shown(self.song.name)}`: {reason}", "failed"

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled

    def _separate(self) -> Stems:
        self.phase = "loading"
        separator = self.engine.models.load(self.order.model)
        options = self.order.options()
        names = options.written(separator.targets)
        separator = separator.only(options.estimated(separator.targets))
        songs, refused = find_songs([self.song], self.folder, names, options.audio_format.suffix)
        for reason in refused.values():
            raise UserError(reason)
        self._check()
        self.phase, self.began = "separating", time.monotonic()
        self.previews = Previews(self.folder, names, residual=options.residual_name is not None)
        separated = separate_song(songs[0], separator, options, self._begin, hear=self.previews.add)
        self.previews.flush()
        self.phase = "drawing"
        return self._finish(songs[0].outputs, list(separated.notes))

    def _begin(self, seconds: float | None) -> Callable[[float], None]:
        self.total_seconds = seconds
        return self._advance

    def _advance(self, seconds: float) -> None:
        self.seconds += seconds
        self._check()
        self.engine.limits.check_length(self.seconds)

    def _finish(self, sounds: dict[str, Path], remarks: list[str]) -> Stems:
        pictures = {}
        for name, sound in sounds.items():
            self._check()
            pictures[name] = sound.with_suffix(".png")
            draw_spectrogram(sound, pictures[name])
        archive = self.folder / f"{self.song.stem}_stems.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:  # sound hardly shrinks
            for sound in sounds.values():
                file.write(sound, sound.name)
        return Stems(self.song.stem, sounds, pictures, archive, remarks)
