"""All of it together: a separator, what is to be heard, from where and to where."""

import gc
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

import torch

from demixer.errors import UserError
from demixer.live import control
from demixer.live.backlog import Backlog
from demixer.live.choice import Choice
from demixer.live.guard import Guard
from demixer.live.live_mix import LiveMix
from demixer.live.pcm import PcmReader, PcmWriter
from demixer.live.pipes import play_all, play_in_time
from demixer.live.soundcard import Card
from demixer.live.stats import Stats
from demixer.live.telling import Teller
from demixer.separation.separator import Separator

CUT_SHORT = 3  # exit code: the input's last bytes were no whole sample
MAX_CHANNELS = 2
SOURCE = "pipe samples in, as from `ffmpeg -i SONG -f f32le -ac 2 -ar 44100 - | …`, or name a sound card with --in"
SINK = "pipe the samples on, as to `… | ffplay -f f32le -ac 2 -ar 44100 -`, or name a sound card with --out"


@dataclass(frozen=True)
class Settings:
    """From where, to where, and how late.

    Args:
        format: of samples in pipes, a key of :data:`demixer.live.pcm.FORMATS`.
        rate: of the samples, in Hz; None: the model's.
        channels: of the samples that come in.
        realtime: whether the source of a pipe does not wait.
        card: the sound devices; None: stdin and stdout.
        control: a file of lines that change the gains.
        block: samples taken at once; None: the network's hop.
        slack: blocks' time that the network has in real time.
        stats: whether the figures are told.

    Raises:
        UserError: one of them cannot be.
    """

    format: str = "f32le"
    rate: int | None = None
    channels: int = 2
    realtime: bool = False
    card: Card | None = None
    control: Path | None = None
    block: int | None = None
    slack: int = 1
    stats: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise UserError(f"`--channels` (={self.channels}) must be 1 or 2: mix it down, as `ffmpeg -ac 2` does")
        if self.slack < 1:
            raise UserError(f"`--slack` (={self.slack}) must be at least 1 block")
        if self.control == control.STDIN and self.card is None:
            raise UserError("`--control -`: stdin holds the samples: give a fifo, or /dev/tty")
        if self.card is not None and (self.realtime or self.format != Settings.format):
            raise UserError("`--format` and `--realtime` are for pipes: leave them out with a sound card")

    def block_samples(self, hop_samples: int) -> int:
        """The length of a block, for a network of this hop.

        Raises:
            UserError: it is no whole number of hops.
        """
        block = hop_samples if self.block is None else self.block
        if block < 1 or block % hop_samples:
            raise UserError(f"`--block` (={block}) must be a multiple of the model's hop, {hop_samples} samples")
        return block


def play(separator: Separator, choice: Choice, settings: Settings) -> int:
    """Play until the input ends, or for ever from a sound card.

    Returns:
        The exit code: 0, or 3 where the input's last bytes were no whole sample.

    Raises:
        UserError: it cannot be done, or not go on; the message says why.
        BrokenPipeError: nobody reads stdout any more.
    """
    check_rate(settings.rate, separator.sample_rate_hz)
    stems = choice.computed(separator.targets)
    desk, buses = choice.desk(stems), choice.buses(stems)
    block_samples, chosen = settings.block_samples(separator.live().hop_samples), separator.only(stems)
    mix = LiveMix(chosen.live(settings.channels, block_samples), desk, buses, settings.channels)
    of_blocks = block_samples - 1 + mix.latency_samples - chosen.latency_samples
    stats = Stats(mix.sample_rate_hz, mix.hop_samples, chosen.latency_samples, of_blocks)
    teller = Teller(stats, settings.stats)
    if settings.control is not None:
        control.listen(desk, settings.control, teller.note)
    try:
        if settings.card is None:
            return _through_pipes(mix, settings, block_samples, stats, teller)
        with _guarded(mix, block_samples, settings.slack, stats) as guard:
            teller.note(f"playing ({settings.card}): Ctrl-C ends it")
            settings.card.play(guard, stats, teller)
    except KeyboardInterrupt as interrupt:
        if settings.card is None or interrupt.args:  # not Ctrl-C, which is how playing ends
            raise
        return 0
    finally:
        teller.end()


def check_rate(rate_hz: int | None, of_model_hz: int) -> None:
    """Refuse another rate than the model's: resampling is left to who reads the song.

    Raises:
        UserError: it is another.
    """
    if rate_hz not in (None, of_model_hz):
        remedy = f"resample before, as with `ffmpeg -ar {of_model_hz}`"
        raise UserError(f"`--rate` (={rate_hz}): the model hears {of_model_hz} Hz: {remedy}")


def _through_pipes(mix: LiveMix, settings: Settings, block_samples: int, stats: Stats, teller: Teller) -> int:
    reader = PcmReader(_bytes_of(sys.stdin, "stdin", SOURCE), settings.format, settings.channels)
    writer = PcmWriter(_bytes_of(sys.stdout, "stdout", SINK), settings.format)
    blocks = reader.blocks(block_samples)
    try:
        if settings.realtime:
            with _guarded(mix, block_samples, settings.slack, stats) as guard:
                play_in_time(guard, blocks, writer.write, stats, teller)
        else:
            play_all(mix, block_samples, blocks, writer.write, stats, teller)
    finally:
        stats.clipped_samples = writer.clipped_samples
    if not reader.dropped_bytes:
        return 0
    teller.note(f"the input's last {reader.dropped_bytes} bytes are no whole sample of all channels: left out")
    return CUT_SHORT


def _bytes_of(stream: TextIO | None, name: str, remedy: str) -> BinaryIO:
    """The bytes of stdin or stdout, which nobody types or reads in a terminal."""
    if stream is None or stream.isatty():
        raise UserError(f"{name} is {'closed' if stream is None else 'a terminal'}: {remedy}")
    return stream.buffer


@contextmanager
def _guarded(mix: LiveMix, block_samples: int, slack: int, stats: Stats) -> Iterator[Guard]:
    """A guard, whose backlog works in a thread of its own until the end of the block."""
    backlog = Backlog(mix, block_samples, stats)
    guard = Guard(backlog, block_samples, stats, slack)
    stats.waits = False
    stats.block_samples += guard.latency_samples - mix.latency_samples
    backlog.start()
    with closing(backlog):
        yield guard


def prepare_process(threads: int) -> None:
    """Make this process even: every hop as fast as the others.

    What exists now is never looked through for garbage again: with all of PyTorch that would hold everything up for
    longer than a hop is.

    Args:
        threads: of PyTorch.

    Raises:
        UserError: that is no number of threads.
    """
    if threads < 1:
        raise UserError(f"`--threads` (={threads}) must be at least 1")
    torch.set_num_threads(threads)
    gc.collect()
    gc.freeze()
