"""One song: read, separate and write as a stream; its stems appear together, once all of them are whole."""

import os
from collections.abc import Callable, Iterable, Iterator
from itertools import tee

import torch
from torch import Tensor

from demixer.audio import AudioReader, open_audio, open_stems, read_tags, resample_blocks, write_tags
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


def separate_song(
    song: Song,
    separator: Separator,
    options: Options,
    begin: Callable[[float | None], Advance] = lambda seconds: lambda done: None,
    block_samples: int = BLOCK_SAMPLES,
) -> list[str]:
    """Write a song's stems: all of them, or on any failure none.

    Args:
        song: what to separate.
        separator: does it.
        options: which stems, and how they are written.
        begin: is told how many seconds there are, or None; gives the function that is told of progress.
        block_samples: read at once; the stems do not depend on it.

    Returns:
        What the user should know about these stems, a line each.

    Raises:
        UserError: the song cannot be read, separated or written; the message is the reason alone.
        OSError: a file cannot be written.
    """
    target_dir = next(iter(song.outputs.values())).parent
    with open_audio(song.path) as audio, hidden_folder(target_dir) as folder:
        if audio.channels > MAX_CHANNELS:
            raise UserError(f"it has {audio.channels} channels: mix it down to stereo or mono first")
        rate_hz = _written_rate_hz(audio, separator, options)
        options.audio_format.check_rate(rate_hz, audio.channels)
        seconds = None if audio.frames is None else audio.frames / audio.sample_rate_hz
        tags = read_tags(song.path)
        leveller = Leveller(options, folder / "spool")
        blocks = _timed(_separated(audio, separator, options, rate_hz, block_samples), rate_hz, begin(seconds))
        hidden = [folder / f"{number}{path.suffix}" for number, path in enumerate(song.outputs.values())]
        frames = None if seconds is None else round(seconds * rate_hz)
        settings = (rate_hz, audio.channels, frames, options.bitrate)
        with open_stems(options.audio_format, hidden, options.stems(separator.targets), *settings) as write:
            for stems in leveller.levelled(blocks):
                write(stems)
        for path, stem in zip(hidden, song.outputs, strict=True):
            write_tags(path, tags.of_stem(stem))
        for path, output in zip(hidden, song.outputs.values(), strict=True):
            os.replace(path, output)
    damage = f"it is damaged ({audio.damage}): separated as far as it goes" if audio.damage else None
    return [remark for remark in (damage, leveller.remark()) if remark]


def _written_rate_hz(audio: AudioReader, separator: Separator, options: Options) -> int:
    """The sample rate of a song's stems."""
    return options.audio_format.written_rate_hz(audio.sample_rate_hz if options.keep_rate else separator.sample_rate_hz)


def _separated(
    audio: AudioReader, separator: Separator, options: Options, rate_hz: int, block_samples: int
) -> Iterator[Tensor]:
    """The wanted estimates (…, C, any length) at the rate of the output; where it is needed, the mixture after them."""
    targets = [separator.targets.index(target) for target in options.estimated(separator.targets)]
    blocks, mixture = tee(_finite(audio, block_samples))
    own_rate = resample_blocks(blocks, audio.sample_rate_hz, separator.sample_rate_hz)
    if rate_hz != audio.sample_rate_hz:  # as the network hears it
        own_rate, mixture = tee(own_rate)
        mixture = resample_blocks(mixture, separator.sample_rate_hz, rate_hz)
    stems = (estimates[targets] for estimates in separator.stream(own_rate))
    stems = resample_blocks(stems, separator.sample_rate_hz, rate_hz)
    for samples, estimates in in_step(mixture, stems):
        if not estimates.isfinite().all():
            raise UserError("its stems overflow: its samples are far beyond ±1, make it quieter")
        yield torch.cat([estimates, samples[None]]) if options.needs_mixture else estimates


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


def _timed(blocks: Iterable[Tensor], rate_hz: int, advance: Advance) -> Iterator[Tensor]:
    for block in blocks:
        yield block
        advance(block.shape[-1] / rate_hz)
