"""All files of a song's stems, written side by side."""

import operator
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from torch import Tensor

from demixer.audio.container_encoders import StemFileEncoder
from demixer.audio.formats import AudioFormat


@contextmanager
def open_stems(
    audio_format: AudioFormat,
    paths: Sequence[Path],
    stems: Sequence[str],
    sample_rate_hz: int,
    channels: int,
    frames: int | None = None,
    bitrate_kbps: int | None = None,
) -> Iterator[Callable[[Tensor], None]]:
    """Open the files of a song's stems; give the function that appends a block (S, C, any length) to all of them.

    Args:
        audio_format: theirs.
        paths: S files; of a format that holds all stems of a song in one file, that. Blocks are then
            (S + 1, C, any length), and their last signal is the mixture.
        stems: their names.
        sample_rate_hz: of the files.
        channels: C.
        frames: how many samples there will be, more or less, if that is known.
        bitrate_kbps: of a lossy format; None: what is good enough for music.

    Raises:
        UserError: a file cannot be written.
        OSError: so too.
    """
    settings = (sample_rate_hz, channels, frames, bitrate_kbps)
    with ExitStack() as stack:
        if isinstance(audio_format.encoder, StemFileEncoder):
            (path,) = paths
            file = audio_format.encoder.open_stems(path, stems, sample_rate_hz, channels, bitrate_kbps)
            writers = [_clamping(audio_format, writer) for writer in stack.enter_context(file)]
        else:
            writers = [stack.enter_context(audio_format.open(path, *settings)) for path in paths]
        encoders = stack.enter_context(ThreadPoolExecutor(len(writers)))  # mp3 takes as long as the network

        def write(block: Tensor) -> None:
            list(encoders.map(operator.call, writers, block))

        yield write


def _clamping(audio_format: AudioFormat, writer: Callable[[Tensor], None]) -> Callable[[Tensor], None]:
    """A stream's writer, which cuts what is beyond the limits, as a file's own does."""
    return lambda block: writer(audio_format.clamp(block))
