"""What a user may choose about the stems, checked before anything is read."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from demixer.audio import FORMATS, AudioFormat
from demixer.errors import UserError
from demixer.songs.naming import DEFAULT_NAME, check_template

STEM_FILE_STEMS = 4  # as Native Instruments' specification has it
CLIPS = ("rescale", "clamp", "error")


@dataclass(frozen=True)
class Options:
    """How stems are made and written.

    Args:
        targets: which stems are written; None: all that the model has.
        two_stems: a target; it and the rest of the mixture, ``no_{target}``, are written instead.
        format: a key of :data:`demixer.audio.FORMATS`.
        keep_rate: write at the input's sample rate rather than at the model's.
        clip: what to do with stems that would clip in the format: make all of a song's stems quieter by the same
            factor (rescale), cut them (clamp), or give the song up (error).
        overwrite: separate a song whose stems are there already, and replace whatever has their names.
        residual: a target that is written as what all others leave of the mixture.
        dither: whether 16-bit formats are rounded with noise (:class:`demixer.songs.dithering.Dither`).
        start_seconds: where the part begins that is separated and written.
        end_seconds: where it ends; None, or after the song's end: there.
        downmix: mix songs of more than two channels down to stereo, rather than refuse them.
        strict: take a damaged song for one that failed, rather than separate it as far as it goes.
        name: template of the stems' names (:mod:`demixer.songs.naming`).
        bitrate: of a lossy format, in kbit/s; None: what is good enough for music.

    Raises:
        UserError: a choice is unknown or two contradict each other.
    """

    targets: Sequence[str] | None = None
    two_stems: str | None = None
    format: str = "wav32f"
    keep_rate: bool = False
    clip: str = "rescale"
    overwrite: bool = False
    residual: str | None = None
    dither: bool = True
    start_seconds: float = 0.0
    end_seconds: float | None = None
    downmix: bool = False
    strict: bool = False
    name: str = DEFAULT_NAME
    bitrate: int | None = None

    def __post_init__(self) -> None:
        if self.targets and self.two_stems:
            raise UserError("`--two-stems` names the stem to write: leave `--target` out")
        if self.residual and (self.targets or self.two_stems):
            other = "--two-stems" if self.two_stems else "--target"
            raise UserError(f"`--residual` makes all stems of the model add up to the mixture: leave `{other}` out")
        if not 0 <= self.start_seconds < math.inf:
            raise UserError(f"`--start` (={self.start_seconds:g}) must be a time from 0 s on")
        if self.end_seconds is not None and not self.start_seconds < self.end_seconds < math.inf:
            raise UserError(f"`--end` (={self.end_seconds:g}) must be after `--start` (={self.start_seconds:g}), in s")
        if self.format not in FORMATS:
            raise UserError(f"`format` (={self.format!r}) must be one of {', '.join(FORMATS)}")
        if self.bitrate is not None:
            self.audio_format.check_bitrate(self.bitrate)
        if self.audio_format.holds_all and (self.targets or self.residual_name):
            chosen = "--target" if self.targets else "--two-stems" if self.two_stems else "--residual"
            raise UserError(f"`{self.format}` holds the mixture and all stems as they are: leave `{chosen}` out")
        if self.clip not in CLIPS:
            raise UserError(f"`clip` (={self.clip!r}) must be one of {', '.join(CLIPS)}")
        check_template(self.name)

    @property
    def audio_format(self) -> AudioFormat:
        return FORMATS[self.format]

    def excerpt(self) -> str | None:
        """What the user should know about stems of a part of a song."""
        if not self.start_seconds and self.end_seconds is None:
            return None
        end = "its end" if self.end_seconds is None else f"{self.end_seconds:g} s"
        return f"separated from {self.start_seconds:g} s to {end} alone"

    @property
    def residual_name(self) -> str | None:
        """The stem, the last one, that is what the others leave of the mixture."""
        return f"no_{self.two_stems}" if self.two_stems else self.residual

    @property
    def needs_mixture(self) -> bool:
        """Whether stems are not all that is written or computed with."""
        return bool(self.residual_name) or self.audio_format.holds_all

    def estimated(self, of_model: Sequence[str]) -> tuple[str, ...]:
        """The targets that are taken from the network.

        Raises:
            UserError: the model has no such target.
        """
        if self.residual:
            return tuple(target for target in of_model if target != self.residual)
        wanted = (self.two_stems,) if self.two_stems else tuple(dict.fromkeys(self.targets or of_model))
        unknown = [target for target in wanted if target not in of_model]
        if unknown:
            raise UserError(f"the model has no target {', '.join(unknown)}: it separates {', '.join(of_model)}")
        return wanted

    def _stems(self, of_model: Sequence[str]) -> tuple[str, ...]:
        if self.residual and self.residual not in of_model:
            raise UserError(f"the model has no target {self.residual}: it separates {', '.join(of_model)}")
        if self.residual and len(of_model) == 1:
            raise UserError(f"`--residual {self.residual}`: the model has no other target, try `--two-stems`")
        estimated = self.estimated(of_model)
        return (*estimated, self.residual_name) if self.residual_name else estimated

    def written(self, of_model: Sequence[str]) -> tuple[str, ...]:
        """Names of the stems, a file each; one without a name where all are in one file.

        Raises:
            UserError: the model has no such target, or the format cannot hold its stems.
        """
        stems = self._stems(of_model)
        if self.audio_format.holds_all and len(stems) != STEM_FILE_STEMS:
            raise UserError(f"`{self.format}` holds {STEM_FILE_STEMS} stems: the model separates {', '.join(of_model)}")
        return ("",) if self.audio_format.holds_all else stems
