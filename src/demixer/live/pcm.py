"""Bare samples in bytes, as ``ffmpeg -f f32le`` writes and reads them: interleaved, little-endian."""

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import torch
from torch import Tensor

from demixer.errors import UserError

FORMATS = {"f32le": np.dtype("<f4"), "s16le": np.dtype("<i2")}
LOUD = 100.0  # 40 dB above full scale: no music, but bytes of something else
FULL_SCALE = 2**15
WAV_MAGIC = b"RIFF"


class PcmReader:
    """Reads blocks of samples.

    Args:
        stream: of bytes, whose ``read(n)`` waits for n of them or the end.
        format: a key of :data:`FORMATS`.
        channels: C, interleaved in it.

    Attributes:
        dropped_bytes: at the end, that were no whole sample of all channels.

    Raises:
        UserError: there is no such format.
    """

    def __init__(self, stream: BinaryIO, format: str, channels: int) -> None:
        if format not in FORMATS:
            raise UserError(f"`format` (={format!r}) must be one of {', '.join(FORMATS)}")
        self._stream, self._type, self._channels = stream, FORMATS[format], channels
        self._read_samples = self.dropped_bytes = 0

    def blocks(self, block_samples: int) -> Iterator[Tensor]:
        """(C, block_samples) in ±1 each, of which only the last may be shorter, and none is empty.

        Raises:
            UserError: the bytes are no samples of this format, or there are none at all.
        """
        frame_bytes = self._channels * self._type.itemsize
        while content := self._stream.read(block_samples * frame_bytes):
            if not self._read_samples and content.startswith(WAV_MAGIC):
                raise UserError("the input is a WAV file, not bare samples: let ffmpeg write `-f f32le`")
            self.dropped_bytes = len(content) % frame_bytes
            if whole := content[: len(content) - self.dropped_bytes]:
                yield self._decoded(whole)
        if not self._read_samples:
            raise UserError("the input is empty: did the program before the pipe fail?")

    def _decoded(self, content: bytes) -> Tensor:
        samples = np.frombuffer(content, self._type).reshape(-1, self._channels).T
        if self._type.kind == "i":
            block = torch.from_numpy(samples.astype(np.float32)) / FULL_SCALE
        else:
            block = torch.from_numpy(np.array(samples, np.float32, order="C"))
            if not block.abs().max() <= LOUD:  # NaN, too
                self._refuse(block)
        self._read_samples += block.shape[-1]
        return block

    def _refuse(self, block: Tensor) -> None:
        sample = int((~(block.abs() <= LOUD)).any(dim=0).nonzero()[0])
        value = "infinite or not a number" if not block[:, sample].isfinite().all() else "far beyond ±1"
        raise UserError(
            f"sample {self._read_samples + sample} of the input is {value}: is it bare `f32le`, as from "
            f"`ffmpeg -i SONG -f f32le -ac {self._channels} -`?"
        )


class PcmWriter:
    """Writes blocks of samples.

    Args:
        stream: of bytes.
        format: a key of :data:`FORMATS`.

    Attributes:
        clipped_samples: that were beyond what the format holds.
    """

    def __init__(self, stream: BinaryIO, format: str) -> None:
        self._stream, self._type = stream, FORMATS[format]
        self.clipped_samples = 0

    def write(self, block: Tensor) -> None:
        """Write (C, n) and hand it on at once.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        samples = block.T.contiguous().numpy()
        if self._type.kind == "i":
            whole = np.rint(samples * FULL_SCALE)
            samples = whole.clip(-FULL_SCALE, FULL_SCALE - 1)
            self.clipped_samples += int((whole != samples).sum())
        self._stream.write(samples.astype(self._type).tobytes())
        self._stream.flush()
