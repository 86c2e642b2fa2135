"""What the page takes: how large, how long, how much at once, and for how long it keeps it."""

from dataclasses import dataclass
from pathlib import Path

from demixer.audio import open_audio
from demixer.errors import UserError
from demixer.songs.mixture import check_channels

# A sample of a stem on the disk while it is made: 4 bytes until the loudest is known, 3 as sound, 3 in the archive.
STEM_BYTES_PER_SAMPLE = 10
RATE_HZ, CHANNELS, STEMS = 48000, 2, 8  # what a visitor has room for, where nothing else is said


class QuotaError(UserError):
    """Somebody has, or all have, as much as the page gives: it helps to wait."""


class SizeError(UserError):
    """A file is larger than the page takes."""


@dataclass(frozen=True)
class Facts:
    """What a song's header tells.

    Args:
        seconds: its length, or None where only decoding would tell.
        sample_rate_hz: its sample rate.
        channels: its C.
    """

    seconds: float | None
    sample_rate_hz: int
    channels: int


@dataclass(frozen=True)
class Limits:
    """How much a visitor may ask for; whoever starts the page sets it.

    Args:
        megabytes: of an uploaded file.
        minutes: of a song; the stems are decoded in the visitor's browser, 21 MB a minute each.
        keep_minutes: songs and stems that nobody used for so long are deleted.
        waiting: songs that may wait for their turn.
        visitor_megabytes: what a visitor's songs and stems may take; None: enough for the longest song.
        total_megabytes: what all visitors' may take; None: four fifths of what is free at the start.

    Raises:
        UserError: one of them is not above 0.
    """

    megabytes: float = 200
    minutes: float = 10
    keep_minutes: float = 60
    waiting: int = 20
    visitor_megabytes: float | None = None
    total_megabytes: float | None = None

    def __post_init__(self) -> None:
        options = {"megabytes": "max-mb", "minutes": "max-minutes", "keep_minutes": "keep-minutes"}
        options |= {"visitor_megabytes": "visitor-mb", "total_megabytes": "total-mb"}
        for name, option in options.items():
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UserError(f"`--{option}` (={value:g}) must be above 0")

    @property
    def bytes_per_visitor(self) -> float:
        """What one visitor's files may take."""
        if self.visitor_megabytes is not None:
            return self.visitor_megabytes * 1e6
        longest = 60 * self.minutes * RATE_HZ * CHANNELS * STEMS * STEM_BYTES_PER_SAMPLE
        return longest + 2 * self.megabytes * 1e6

    def check(self, song: Path) -> Facts:
        """Read a song's header.

        Raises:
            UserError: the file is too large or too long, no audio, or of more channels than can be separated; the
                message is the reason alone.
        """
        self.check_size(song.stat().st_size)
        with open_audio(song) as audio:
            known = audio.frames is not None and not audio.frames_are_estimated
            seconds = audio.frames / audio.sample_rate_hz if known else None
            facts = Facts(seconds, audio.sample_rate_hz, audio.channels)
        check_channels(facts.channels)
        self.check_length(facts.seconds or 0)
        return facts

    def check_size(self, size_bytes: int) -> None:
        """Raise a :class:`SizeError` where a file is too large."""
        if size_bytes > self.megabytes * 1e6:
            raise SizeError(f"it has {size_bytes / 1e6:.0f} MB: this page takes {self.megabytes:g} MB")

    def check_length(self, seconds: float) -> None:
        """Raise a :class:`UserError` where a song, or what was decoded of it so far, is too long."""
        if seconds > 60 * self.minutes:
            raise UserError(f"it is longer than {self.minutes:g} minutes, which is what this page takes")

    def stem_bytes(self, facts: Facts, stems: int) -> float:
        """The most that a song's stems take on the disk while they are made."""
        seconds = 60 * self.minutes if facts.seconds is None else facts.seconds
        rate_hz = max(RATE_HZ, facts.sample_rate_hz)
        return seconds * rate_hz * facts.channels * max(stems, 2) * STEM_BYTES_PER_SAMPLE
