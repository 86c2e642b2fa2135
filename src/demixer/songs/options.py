"""What a user may choose about the stems, checked before anything is read."""

from collections.abc import Sequence
from dataclasses import dataclass

from demixer.audio import FORMATS, AudioFormat
from demixer.errors import UserError
from demixer.songs.naming import DEFAULT_NAME, check_template

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
        strict: take a damaged song for one that failed, rather than separate it as far as it goes.
        name: template of the stems' names (:mod:`demixer.songs.naming`).

    Raises:
        UserError: a choice is unknown or two contradict each other.
    """

    targets: Sequence[str] | None = None
    two_stems: str | None = None
    format: str = "wav32f"
    keep_rate: bool = False
    clip: str = "rescale"
    overwrite: bool = False
    strict: bool = False
    name: str = DEFAULT_NAME

    def __post_init__(self) -> None:
        if self.targets and self.two_stems:
            raise UserError("`--two-stems` names the stem to write: leave `--target` out")
        if self.format not in FORMATS:
            raise UserError(f"`format` (={self.format!r}) must be one of {', '.join(FORMATS)}")
        if self.clip not in CLIPS:
            raise UserError(f"`clip` (={self.clip!r}) must be one of {', '.join(CLIPS)}")
        check_template(self.name)

    @property
    def audio_format(self) -> AudioFormat:
        return FORMATS[self.format]

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

    def written(self, of_model: Sequence[str]) -> tuple[str, ...]:
        """Names of the stems that are written."""
        estimated = self.estimated(of_model)
        return (self.two_stems, f"no_{self.two_stems}") if self.two_stems else estimated
