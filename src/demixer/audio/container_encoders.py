"""What FFmpeg's libraries write: AAC in MP4, Opus in Ogg, and all stems of a song in one MP4 file."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import av
import torch
from av.audio.stream import AudioStream
from av.container import OutputContainer
from torch import Tensor

from demixer.audio.stem_atom import write_stem_atom
from demixer.errors import UserError, one_line


@dataclass(frozen=True)
class ContainerEncoder:
    """A codec of FFmpeg's in one of its containers.

    The container says how much the encoder puts before and after the sound, so that readers give back as many samples
    as were written, in their places.

    Args:
        muxer: FFmpeg's name of the container.
        codec: FFmpeg's name of the encoder.
        sample_format: what the encoder is given.
        bitrates_kbps: the least and the most.
        bitrate_kbps: of stereo, where nothing else is asked for.
        channel_limit_kbps: the most that a channel can take.
        only_rate_hz: the sample rate at which everything is written; None: as it comes.
    """

    muxer: str
    codec: str
    sample_format: str
    bitrates_kbps: tuple[int, int]
    bitrate_kbps: int
    channel_limit_kbps: int
    only_rate_hz: int | None = None

    def holds_rate(self, sample_rate_hz: int, channels: int) -> bool:
        return sample_rate_hz in av.codec.Codec(self.codec, "w").audio_rates

    @contextmanager
    def open(
        self, path: Path, sample_rate_hz: int, channels: int, frames: int | None, bitrate_kbps: int | None
    ) -> Iterator[Callable[[Tensor], None]]:
        """Open a file for writing; give the function that appends a block (C, any length)."""
        with self.open_streams(path, sample_rate_hz, channels, 1, bitrate_kbps) as (write,):
            yield write

    @contextmanager
    def open_streams(
        self, path: Path, sample_rate_hz: int, channels: int, streams: int, bitrate_kbps: int | None
    ) -> Iterator[list[Callable[[Tensor], None]]]:
        """Open a file of several streams; give for each the function that appends a block. They may run at once."""
        kbps = min(bitrate_kbps or self.bitrate_kbps * channels // 2, self.channel_limit_kbps * channels)
        # MP4 otherwise gives lengths in milliseconds; `bitexact` leaves out versions and random numbers.
        options = {"fflags": "+bitexact", "max_interleave_delta": "0"}  # streams may run ahead of each other
        if self.muxer == "ipod":
            options["movie_timescale"] = str(sample_rate_hz)
        try:
            with path.open("wb") as file, av.open(file, "w", self.muxer, options) as container:
                lock = Lock()
                encoders = []
                for _ in range(streams):
                    stream = container.add_stream(
                        self.codec, sample_rate_hz, layout="mono" if channels == 1 else "stereo"
                    )
                    stream.bit_rate, stream.format = 1000 * kbps, self.sample_format
                    encoders.append(StreamEncoder(container, stream, lock))
                container.start_encoding()
                yield [encoder.write for encoder in encoders]
                for encoder in encoders:
                    encoder.finish()
        except av.FFmpegError as error:  # raised again as the file is closed, after what came first
            first = error.__context__ if isinstance(error.__context__, OSError) else error
            reason = first.strerror or one_line(first)
            raise UserError(f"its stems cannot be written ({reason}): is the disk full?") from error


class StreamEncoder:
    """Cuts what one stream is given into the frames that its encoder takes.

    Args:
        container: the open file.
        stream: of it.
        lock: of all streams of the file, which one at a time may write to.
    """

    def __init__(self, container: OutputContainer, stream: AudioStream, lock: Lock) -> None:
        self.container, self.stream, self.lock = container, stream, lock
        self.held: Tensor | None = None
        self.given = 0

    def write(self, block: Tensor) -> None:
        self.held = block if self.held is None else torch.cat([self.held, block], dim=-1)
        size = self.stream.codec_context.frame_size
        whole = self.held.shape[-1] // size * size
        for part in self.held[:, :whole].split(size, dim=-1) if whole else ():
            self._encode(part)
        self.held = self.held[:, whole:]

    def finish(self) -> None:
        if self.held is not None and self.held.shape[-1]:
            self._encode(self.held)
        self._mux(None)

    def _encode(self, samples: Tensor) -> None:
        context = self.stream.codec_context
        planes = samples if context.format.is_planar else samples.T.reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(planes.contiguous().numpy(), context.format.name, context.layout.name)
        frame.sample_rate, frame.pts = context.sample_rate, self.given
        self.given += samples.shape[-1]
        self._mux(frame)

    def _mux(self, frame: av.AudioFrame | None) -> None:
        packets = self.stream.encode(frame)
        with self.lock:
            self.container.mux(packets)


class StemFileEncoder(ContainerEncoder):
    """Native Instruments' stem file: an MP4 whose first stream is the mixture, and four more are its stems."""

    ORDER = ("drums", "bass", "other", "vocals")  # in which its readers expect those

    @contextmanager
    def open_stems(
        self, path: Path, stems: Sequence[str], sample_rate_hz: int, channels: int, bitrate_kbps: int | None
    ) -> Iterator[list[Callable[[Tensor], None]]]:
        """Open a file; give the functions that append to each of ``stems``, and to the mixture, in that order."""
        order = sorted(stems, key=lambda stem: self.ORDER.index(stem) if stem in self.ORDER else len(self.ORDER))
        with self.open_streams(path, sample_rate_hz, channels, 1 + len(stems), bitrate_kbps) as (mixture, *writers):
            yield [*(writers[order.index(stem)] for stem in stems), mixture]
        write_stem_atom(path, order)
