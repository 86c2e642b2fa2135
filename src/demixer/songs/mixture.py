"""A song's samples as they go into a separator: of the wanted excerpt, in one or two channels, every one a number."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from demixer.audio import AudioReader, open_audio
from demixer.errors import UserError
from demixer.separation.checks import MAX_CHANNELS


class Mixture:
    """An open song.

    Args:
        audio: the file.
        block_samples: read at once.

    Attributes:
        channels: its C.
        sample_rate_hz: its sample rate.
        seconds: how long it is, as far as the file tells.
        peak: the loudest sample so far.
    """

    def __init__(self, audio: AudioReader, block_samples: int) -> None:
        if audio.channels > MAX_CHANNELS:
            raise UserError(f"it has {audio.channels} channels: mix it down to stereo or mono first")
        self._audio, self._block_samples = audio, block_samples
        self.channels, self.sample_rate_hz, self.peak = audio.channels, audio.sample_rate_hz, 0.0
        self.seconds = None if audio.frames is None else audio.frames / audio.sample_rate_hz

    @property
    def damage(self) -> str | None:
        """What stopped reading before the file's end."""
        return self._audio.damage

    def blocks(self) -> Iterator[Tensor]:
        """(C, any length) each; infinite or undefined samples, which would spread over whole windows, end it.

        Raises:
            UserError: there is such a sample, or none at all.
        """
        received = 0
        for block in self._audio.blocks(self._block_samples):
            wrong = (~block.isfinite()).any(dim=0).nonzero()
            if len(wrong):
                sample = received + wrong[0].item()
                place = f"sample {sample} (at {sample / self.sample_rate_hz:.3f} s)"
                raise UserError(f"{place} is infinite or not a number: export it again")
            received += block.shape[-1]
            self.peak = max(self.peak, block.abs().max().item())
            yield block
        if not received:
            raise UserError(f"it cannot be decoded: {self.damage}" if self.damage else "it holds no samples")


@contextmanager
def open_mixture(path: Path, block_samples: int) -> Iterator[Mixture]:
    """Open a song.

    Raises:
        UserError: the file cannot be opened or decoded, or has too many channels; the message is the reason alone.
    """
    with open_audio(path) as audio:
        yield Mixture(audio, block_samples)
