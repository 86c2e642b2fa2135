"""What the page takes: how large, how long, and for how long it keeps it."""

from dataclasses import dataclass
from pathlib import Path

from demixer.audio import open_audio
from demixer.errors import UserError
from demixer.songs.separating import check_channels


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

    Raises:
        UserError: one of them is not above 0.
    """

    megabytes: float = 200
    minutes: float = 10
    keep_minutes: float = 60
    waiting: int = 20

    def __post_init__(self) -> None:
        for name, option in (("megabytes", "max-mb"), ("minutes", "max-minutes"), ("keep_minutes", "keep-minutes")):
            if getattr(self, name) <= 0:
                raise UserError(f"`--{option}` (={getattr(self, name):g}) must be above 0")

    def check(self, song: Path) -> Facts:
        """Read a song's header.

        Raises:
            UserError: the file is too large or too long, no audio, or of more channels than can be separated; the
                message is the reason alone.
        """
        if song.stat().st_size > self.megabytes * 1e6:
            raise UserError(f"it has {song.stat().st_size / 1e6:.0f} MB: this page takes {self.megabytes:g} MB")
        with open_audio(song) as audio:
            seconds = None if audio.frames is None else audio.frames / audio.sample_rate_hz
            facts = Facts(seconds, audio.sample_rate_hz, audio.channels)
        check_channels(facts.channels)
        self.check_length(facts.seconds or 0)
        return facts

    def check_length(self, seconds: float) -> None:
        """Raise a :class:`UserError` where a song, or what was decoded of it so far, is too long."""
        if seconds > 60 * self.minutes:
            raise UserError(f"it is longer than {self.minutes:g} minutes, which is what this page takes")
