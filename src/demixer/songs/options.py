"""What a user may choose about the stems, checked before anything is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from demixer.audio import FORMATS, AudioFormat
from demixer.errors import UserError

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
        overwrite: separate a song whose stems are there already.
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
    bitrate: int | None = None

    def __post_init__(self) -> None:
        if self.targets and self.two_stems:
            raise UserError("`--two-stems` names the stem to write: leave `--target` out")
        if self.format not in FORMATS:
            raise UserError(f"`format` (={self.format!r}) must be one of {', '.join(FORMATS)}")
        if self.bitrate is not None:
            self.audio_format.check_bitrate(self.bitrate)
        if self.audio_format.holds_all and (self.targets or self.two_stems):
            raise UserError(f"`{self.format}` holds the mixture and all stems: leave `--target` and `--two-stems` out")
        if self.clip not in CLIPS:
            raise UserError(f"`clip` (={self.clip!r}) must be one of {', '.join(CLIPS)}")

    @property
    def audio_format(self) -> AudioFormat:
        return FORMATS[self.format]

    @property
    def needs_mixture(self) -> bool:
        """Whether stems are not all that is written."""
        return bool(self.two_stems) or self.audio_format.holds_all

    def estimated(self, of_model: Sequence[str]) -> tuple[str, ...]:
        """The targets that are taken from the network.

        Raises:
            UserError: the model has no such target.
        """
        wanted = (self.two_stems,) if self.two_stems else tuple(dict.fromkeys(self.targets or of_model))
        unknown = [target for target in wanted if target not in of_model]
        if unknown:
            raise UserError(f"the model has no target {', '.join(unknown)}: it separates {', '.join(of_model)}")
        return wanted

    def stems(self, of_model: Sequence[str]) -> tuple[str, ...]:
        """Names of the stems that are written."""
        estimated = self.estimated(of_model)
        return (self.two_stems, f"no_{self.two_stems}") if self.two_stems else estimated

    def written(self, of_model: Sequence[str]) -> tuple[str, ...]:
        """Names of the stems, a file each; one without a name where all are in one file.

        Raises:
            UserError: the format cannot hold the model's stems.
        """
        stems = self.stems(of_model)
        if self.audio_format.holds_all and len(stems) != STEM_FILE_STEMS:
            raise UserError(f"`{self.format}` holds {STEM_FILE_STEMS} stems: the model separates {', '.join(of_model)}")
        return ("",) if self.audio_format.holds_all else stems
