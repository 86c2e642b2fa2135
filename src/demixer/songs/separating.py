"""One song: read, separate and write as a stream; its stems appear together, once all of them are whole."""

import operator
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import tee

import torch
from torch import Tensor

from demixer.audio import AudioReader, open_audio, resample_blocks
from demixer.errors import UserError
from demixer.separation.checks import MAX_CHANNELS
from demixer.separation.separator import Separator
from demixer.separation.streams import in_step
from demixer.songs.finding import Song
from demixer.songs.levels import Leveller
from demixer.songs.options import Options
from demixer.temporary import hidden_folder

BLOCK_SAMPLES = 1 << 18  # read at once: 6 s

Advance = Callable[[float], None]  # is told how many more seconds are done
Hear = Callable[[Tensor, int], None]  # is handed a block of estimates (…, C, any length) and their rate in Hz


def check_channels(channels: int) -> None:
    """Raise a :class:`UserError` where a song has more channels than can be separated."""
    if channels > MAX_CHANNELS:
        raise UserError(f"it has {channels} channels: mix it down to stereo or mono first")


def separate_song(
    song: Song,
    separator: Separator,
    options: Options,
    begin: Callable[[float | None], Advance] = lambda seconds: lambda done: None,
    block_samples: int = BLOCK_SAMPLES,
    hear: Hear | None = None,
) -> list[str]:
    """Write a song's stems: all of them, or on any failure none.

    Args:
        song: what to separate.
        separator: does it.
        options: which stems, and how they are written.
        begin: is told how many seconds there are, or None; gives the function that is told of progress.
        block_samples: read at once; the stems do not depend on it.
        hear: is handed the estimates, and with two stems the mixture after them, as soon as they are computed.

    Returns:
        What the user should know about these stems, a line each.

    Raises:
        UserError: the song cannot be read, separated or written; the message is the reason alone.
        OSError: a file cannot be written.
    """
    target_dir = next(iter(song.outputs.values())).parent
    with open_audio(song.path) as audio, hidden_folder(target_dir) as folder:
        check_channels(audio.channels)
        rate_hz = audio.sample_rate_hz if options.keep_rate else separator.sample_rate_hz
        options.audio_format.check_rate(rate_hz, audio.channels)
        seconds = None if audio.frames is None else audio.frames / audio.sample_rate_hz
        leveller = Leveller(options, folder / "spool")
        blocks = _timed(_separated(audio, separator, options, block_samples), rate_hz, begin(seconds))
        if hear:
            blocks = _heard(blocks, rate_hz, hear)
        hidden = [folder / f"{number}{path.suffix}" for number, path in enumerate(song.outputs.values())]
        with ExitStack() as stack:
            frames = None if seconds is None else round(seconds * rate_hz)
            files = [options.audio_format.open(path, rate_hz, audio.channels, frames) for path in hidden]
            writers = [stack.enter_context(file) for file in files]
            encoders = stack.enter_context(ThreadPoolExecutor(len(writers)))  # mp3 takes as long as the network
            for stems in leveller.levelled(blocks):
                list(encoders.map(operator.call, writers, stems))
        for path, output in zip(hidden, song.outputs.values(), strict=True):
            os.replace(path, output)
    damage = f"it is damaged ({audio.damage}): separated as far as it goes" if audio.damage else None
    return [remark for remark in (damage, leveller.remark()) if remark]


def _separated(audio: AudioReader, separator: Separator, options: Options, block_samples: int) -> Iterator[Tensor]:
    """The wanted estimates (…, C, any length) at the rate of the output; with two stems, the mixture after them."""
    targets = [separator.targets.index(target) for target in options.estimated(separator.targets)]
    blocks = _finite(audio, block_samples)
    if options.keep_rate:
        mixture, blocks = tee(blocks)
    own_rate = resample_blocks(blocks, audio.sample_rate_hz, separator.sample_rate_hz)
    if not options.keep_rate:
        mixture, own_rate = tee(own_rate)
    stems = (estimates[targets] for estimates in separator.stream(own_rate))
    if options.keep_rate:
        stems = resample_blocks(stems, separator.sample_rate_hz, audio.sample_rate_hz)
    for samples, estimates in in_step(mixture, stems):
        if not estimates.isfinite().all():
            raise UserError("its stems overflow: its samples are far beyond ±1, make it quieter")
        yield torch.cat([estimates, samples[None]]) if options.two_stems else estimates


def _finite(audio: AudioReader, block_samples: int) -> Iterator[Tensor]:
    """The file's blocks; infinite or undefined samples, which would spread over whole windows, end it."""
    received = 0
    for block in audio.blocks(block_samples):
        wrong = (~block.isfinite()).any(dim=0).nonzero()
        if len(wrong):
            sample = received + wrong[0].item()
            place = f"sample {sample} (at {sample / audio.sample_rate_hz:.3f} s)"
            raise UserError(f"{place} is infinite or not a number: export it again")
        received += block.shape[-1]
        yield block
    if not received:
        raise UserError(f"it cannot be decoded: {audio.damage}" if audio.damage else "it holds no samples")


def _heard(blocks: Iterable[Tensor], rate_hz: int, hear: Hear) -> Iterator[Tensor]:
    for block in blocks:
        hear(block, rate_hz)
        yield block


def _timed(blocks: Iterable[Tensor], rate_hz: int, advance: Advance) -> Iterator[Tensor]:
    for block in blocks:
        yield block
        advance(block.shape[-1] / rate_hz)
