"""One song: read, separate and write as a stream; its stems appear together, once all of them are whole."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import tee
from pathlib import Path

import torch
from torch import Tensor

from demixer.audio import open_stems, read_tags, resample_blocks, write_tags
from demixer.errors import UserError
from demixer.separation.streams import in_step
from demixer.separation.waveforms import WaveformSeparator
from demixer.songs.finding import Song
from demixer.songs.levels import Leveller
from demixer.songs.mixture import Mixture, open_mixture
from demixer.songs.options import Options
from demixer.temporary import hidden_folder

BLOCK_SAMPLES = 1 << 18  # read at once: 6 s
LOUD = 100.0  # 40 dB above full scale: no song is so loud

Advance = Callable[[float], None]  # is told how many more seconds are done
Hear = Callable[[Tensor, int], None]  # is handed a block of estimates (…, C, any length) and their rate in Hz


@dataclass(frozen=True)
class Separated:
    """What there is to say about a song's stems.

    Args:
        seconds: of audio, where the song's file tells it.
        damage: what stopped the reading before the song's end, if anything did.
        remarks: what else the user should know, a line each.
    """

    seconds: float | None
    damage: str | None = None
    remarks: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """All that the user should know, a line each."""
        damage = (f"it is damaged ({self.damage}): separated as far as it goes",) if self.damage else ()
        return damage + self.remarks


def put_in_place(files: Mapping[Path, Path], separated: Separated) -> None:
    """Give the finished files, {hidden: final}, their names."""
    for hidden, output in files.items():
        output.parent.mkdir(parents=True, exist_ok=True)
        os.replace(hidden, output)


def separate_song(
    song: Song,
    separator: WaveformSeparator,
    options: Options,
    begin: Callable[[float | None], Advance] = lambda seconds: lambda done: None,
    block_samples: int = BLOCK_SAMPLES,
    place: Callable[[Mapping[Path, Path], Separated], None] = put_in_place,
    hear: Hear | None = None,
) -> Separated:
    """Write a song's stems: all of them, or on any failure none.

    Args:
        song: what to separate.
        separator: does it.
        options: which stems, and how they are written.
        begin: is told how many seconds there are, or None; gives the function that is told of progress.
        block_samples: read at once; the stems do not depend on it.
        place: gives the finished files their names.
        hear: is handed the estimates, and for a residual the mixture after them, as soon as they are computed.

    Raises:
        UserError: the song cannot be read, separated or written; the message is the reason alone.
        OSError: a file cannot be written.
    """
    with open_mixture(song.path, options, block_samples) as mixture, hidden_folder(song.folder, song.key) as folder:
        rate_hz = _written_rate_hz(mixture, separator, options)
        options.audio_format.check_rate(rate_hz, mixture.channels)
        tags = read_tags(song.path)
        advance = begin(mixture.seconds)

        def again() -> Iterator[Tensor]:
            with open_mixture(song.path, options, block_samples) as mixture:
                for block in _separated(mixture, separator, options, rate_hz):
                    yield block
                    advance(0.0)  # it was counted when it was first separated

        leveller = Leveller(options, folder / "spool")
        blocks = _timed(_separated(mixture, separator, options, rate_hz), rate_hz, advance)
        if hear:
            blocks = _heard(blocks, rate_hz, hear)
        hidden = [folder / f"{number}{path.suffix}" for number, path in enumerate(song.outputs.values())]
        known = mixture.seconds is not None and not mixture.seconds_are_estimated
        frames = round(mixture.seconds * rate_hz) if known else None
        names = separator.targets if options.audio_format.holds_all else tuple(song.outputs)
        settings = (rate_hz, mixture.channels, frames, options.bitrate)
        for stems in leveller.takes(blocks, again):
            with open_stems(options.audio_format, hidden, names, *settings) as write:
                for block in stems:
                    write(block)
        if options.strict and mixture.damage:
            raise UserError(f"it is damaged ({mixture.damage}), which `--strict` takes for a failure")
        for path, stem in zip(hidden, song.outputs, strict=True):
            write_tags(path, tags.of_stem(stem))
        remarks = tuple(filter(None, [options.excerpt(), leveller.remark()]))
        separated = Separated(mixture.seconds, mixture.damage, remarks)
        place(dict(zip(hidden, song.outputs.values(), strict=True)), separated)
    return separated


def _written_rate_hz(mixture: Mixture, separator: WaveformSeparator, options: Options) -> int:
    """The sample rate of a song's stems."""
    wanted_hz = mixture.sample_rate_hz if options.keep_rate else separator.sample_rate_hz
    return options.audio_format.written_rate_hz(wanted_hz)


def _separated(mixture: Mixture, separator: WaveformSeparator, options: Options, rate_hz: int) -> Iterator[Tensor]:
    """The wanted estimates (…, C, any length) at the rate of the output; where it is needed, the mixture after them."""
    targets = [separator.targets.index(target) for target in options.estimated(separator.targets)]
    blocks, song = tee(mixture.blocks())
    own_rate = resample_blocks(blocks, mixture.sample_rate_hz, separator.sample_rate_hz)
    if rate_hz != mixture.sample_rate_hz:  # as the network hears it
        own_rate, song = tee(own_rate)
        song = resample_blocks(song, separator.sample_rate_hz, rate_hz)
    stems = (estimates[targets] for estimates in separator.stream(own_rate))
    stems = resample_blocks(stems, separator.sample_rate_hz, rate_hz)
    for samples, estimates in in_step(song, stems):
        if not estimates.isfinite().all():
            raise UserError(_why_not_finite(mixture.peak))
        yield torch.cat([estimates, samples[None]]) if options.needs_mixture else estimates


def _why_not_finite(peak: float) -> str:
    if peak > LOUD:
        return "its stems overflow: its samples are far beyond ±1, make it quieter"
    return "the model gives no numbers (NaN) for it: try `--precision fp32`; else the model is at fault, not the song"


def _heard(blocks: Iterable[Tensor], rate_hz: int, hear: Hear) -> Iterator[Tensor]:
    for block in blocks:
        hear(block, rate_hz)
        yield block


def _timed(blocks: Iterable[Tensor], rate_hz: int, advance: Advance) -> Iterator[Tensor]:
    for block in blocks:
        yield block
        advance(block.shape[-1] / rate_hz)
