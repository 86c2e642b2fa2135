"""What libsndfile cannot decode, PyAV does: FFmpeg's libraries as a package, so that no program must be installed."""

from collections.abc import Iterator
from itertools import chain, dropwhile, groupby
from pathlib import Path

import av
import torch
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from torch import Tensor

from demixer.audio.resampling import resample_blocks
from demixer.audio.truncation import missing_end
from demixer.errors import UserError, one_line

MPEG_SUFFIXES = (".mp3", ".mp2")
# fmt: off
CONTAINER_SUFFIXES = (
    *MPEG_SUFFIXES, ".m4a", ".m4b", ".mp4", ".m4v", ".mov", ".3gp", ".aac", ".wma", ".wmv", ".asf", ".webm", ".mkv",
    ".mka", ".avi", ".mpg", ".mpeg", ".ts", ".flv", ".ac3", ".ape", ".wv", ".tta", ".ogv",
)
# fmt: on
# FFmpeg also takes playlists and scripts, which name further files and addresses: only true containers are let in.
DEMUXERS = "mov,matroska,asf,avi,aac,mp3,ogg,flac,wav,w64,aiff,mpeg,mpegts,flv,ac3,eac3,ape,wv,tta,amr,caf"

HEADERLESS = ("aac", "ac3", "eac3")

SEEK_PREROLL_SECONDS = 0.1  # after a jump a decoder needs a few packets before it is right
# These decoders label a frame with the sample rate of the one before it.
LATE_DECODERS = ("mp1", "mp1float", "mp2", "mp2float", "mp3", "mp3float")


class ContainerReader:
    """One audio stream of a container: mp3, m4a, aac, wma, webm, video; in ``.stem.mp4`` the first is the mixture.

    Args:
        path: the file.
        number: which of its audio streams, counted from 0; there are ``streams``.
        whole_frames: whether the last frame is left as it is.

    The encoder's priming is dropped and the last frame cut to the length that the container gives it, so that a song
    has as many samples as before it was encoded, where the container tells. Where sample rate or channels change
    within, as in joined recordings, everything is given at the first frame's.
    """

    def __init__(self, path: Path, number: int = 0, whole_frames: bool = False) -> None:
        self.whole_frames = whole_frames
        self.handle = path.open("rb")  # FFmpeg is handed the open file, and opens no other
        self.damage: str | None = None
        try:
            self.container = av.open(self.handle, options={"format_whitelist": DEMUXERS}, metadata_errors="replace")
            self.streams = len(self.container.streams.audio)
            if not self.streams:
                raise UserError("it holds no audio")
            self.stream = self.container.streams.audio[number]
            self.decoded = self._decode()
            first = next(self.decoded)
        except (av.FFmpegError, StopIteration) as error:
            self.handle.close()
            raise UserError(f"it is no audio, or damaged beyond decoding{_detail(error)}") from error
        except UserError:
            self.handle.close()
            raise
        self.decoded = chain([first], self.decoded)
        self.sample_rate_hz, self.channels = first.sample_rate, first.layout.nb_channels
        self.channel_names = tuple(channel.name for channel in first.layout.channels)  # in FFmpeg's order of them
        self.skipped = 0  # samples
        self.origin_seconds = first.time or 0.0  # a recording's timestamps may begin anywhere
        self.sought_seconds: float | None = None  # by those timestamps, until the frame that holds it is cut
        self.layout, self.frames = first.layout, self._told_frames()
        self.missing_end = missing_end(path)
        self.converters: dict[tuple[object, ...], AudioResampler] = {}

    def _told_frames(self) -> int | None:
        if self.stream.duration:
            return round(self.stream.duration * self.stream.time_base * self.sample_rate_hz)
        return round(self.container.duration / av.time_base * self.sample_rate_hz) if self.container.duration else None

    @property
    def frames_are_estimated(self) -> bool:
        """Streams without a container around them tell no length, nor does MP3 without LAME's header."""
        name = self.container.format.name
        return name in HEADERLESS or (name == "mp3" and not self.stream.start_time)

    def seek(self, seconds: float) -> None:
        self.skipped = round(seconds * self.sample_rate_hz)
        self.sought_seconds = sought = self.origin_seconds + seconds
        before = max(self.origin_seconds, sought - SEEK_PREROLL_SECONDS)
        self.container.seek(int(before / self.stream.time_base), stream=self.stream)
        self.decoded = dropwhile(lambda frame: frame.time is not None and _end(frame) <= sought, self._decode())

    def blocks(self, frames: int) -> Iterator[Tensor]:
        held: list[Tensor] = []
        received = self.skipped
        for samples in self._samples():
            held.append(samples)
            received += samples.shape[-1]
            if sum(piece.shape[-1] for piece in held) >= frames:
                *whole, rest = torch.cat(held, dim=-1).split(frames, dim=-1)
                yield from whole
                held = [rest]
        if held:
            yield from torch.cat(held, dim=-1).split(frames, dim=-1)
        if self.damage is None and self._length_is_known() and received < self.frames - self.sample_rate_hz:
            self.damage = f"its header tells of {self.frames / self.sample_rate_hz:.1f} s"
        if self.damage is None and received:
            self.damage = self.missing_end

    def _length_is_known(self) -> bool:
        """Whether the file says how long it is, rather than FFmpeg estimating it from the bit rate."""
        name = self.container.format.name
        return bool(self.frames) and (
            name.startswith(("mov", "matroska", "asf")) or (name == "mp3" and bool(self.stream.start_time))
        )

    def _decode(self) -> Iterator[AudioFrame]:
        """Frames; a damaged packet is left out, as players do."""
        decoder = self.stream.codec_context
        for packet in self.container.demux(self.stream):
            try:
                for frame in packet.decode():
                    if decoder.name in LATE_DECODERS:
                        frame.sample_rate = decoder.sample_rate
                    yield frame
            except av.InvalidDataError as error:
                self.damage = _reason(error)

    def _samples(self) -> Iterator[Tensor]:
        """The sound as (C, n), at the first frame's rate and with its channels."""
        for rate_hz, run in groupby(self._frames(), key=lambda counted: counted[0].sample_rate):
            parts = (self._cut(frame, length) for frame, length in run)
            yield from resample_blocks(parts, rate_hz, self.sample_rate_hz)

    def _frames(self) -> Iterator[tuple[AudioFrame, int]]:
        """Frames, and how many of their samples count: only the last frame tells, so that one is kept back."""
        latest: AudioFrame | None = None
        try:
            for frame in self.decoded:
                if latest is not None:
                    yield latest, latest.samples
                latest = frame
        except av.FFmpegError as error:
            self.damage = _reason(error)
        if latest is not None:
            yield latest, self._length(latest)

    def _cut(self, frame: AudioFrame, length: int) -> Tensor:
        """What counts of a frame; of the first one after a jump, from the place that was sought."""
        early = 0
        if self.sought_seconds is not None and frame.time is not None:
            early = max(0, round((self.sought_seconds - frame.time) * frame.sample_rate))
        self.sought_seconds = None
        return self._convert(frame)[:, early:length]

    def _convert(self, frame: AudioFrame) -> Tensor:
        """A frame as float32 (C, n). FFmpeg's own mono and stereo would be 3 dB softer or louder than the other."""
        frame.pts = None  # or gaps in the timestamps would be filled
        simple = {frame.layout.nb_channels, self.channels} <= {1, 2}
        kind = (frame.format.name, frame.layout.name, frame.sample_rate, (frame.layout if simple else self.layout).name)
        if kind not in self.converters:
            self.converters[kind] = AudioResampler("fltp", kind[-1], frame.sample_rate)
        parts = [torch.from_numpy(part.to_ndarray()) for part in self.converters[kind].resample(frame)]
        samples = torch.cat(parts, dim=-1)
        if len(samples) == self.channels:
            return samples
        return samples.expand(self.channels, -1) if len(samples) == 1 else samples.mean(dim=0, keepdim=True)

    def _length(self, frame: AudioFrame) -> int:
        """How many of a frame's samples count: its duration, where that is told to the sample."""
        if self.whole_frames or not frame.duration or frame.time_base * frame.sample_rate > 1:
            return frame.samples
        return min(frame.samples, round(frame.duration * frame.time_base * frame.sample_rate))

    def close(self) -> None:
        self.container.close()
        self.handle.close()


def _end(frame: AudioFrame) -> float:
    """When a frame ends, in seconds."""
    return frame.time + frame.samples / frame.sample_rate


def _reason(error: av.FFmpegError) -> str:
    """FFmpeg's own words, without its error number and the file's name."""
    return error.strerror or one_line(error)


def _detail(error: Exception) -> str:
    """What FFmpeg adds to the fact that it cannot decode; nothing, where it only says that in other words."""
    says_more = isinstance(error, av.FFmpegError) and not isinstance(error, (av.InvalidDataError, av.ArgumentError))
    return f" ({_reason(error)})" if says_more else ""
