"""What a lossy file has lost."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import av
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from demixer.data.augmentations.checks import check_probability
from demixer.data.randomness import integer

CONTAINERS = {"mp3": ("libmp3lame", "mp3"), "aac": ("aac", "mp4")}  # FFmpeg's encoder, and a format that tells delays
_RATES_HZ = {  # of all the encoders
    "mp3": (48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000),
    "aac": (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000),
}


def codec(audio: Tensor, name: str, bit_rate: int, sample_rate_hz: int) -> Tensor:
    """Encode (C, L) as ``name`` at ``bit_rate`` (bit/s) and decode it again, in memory.

    The result is aligned to the sample and of the same length: the containers tell the decoder how many samples the
    encoder has put before the first one, and FFmpeg leaves them out. It is also as loud as before: encoders clip at
    full scale, and LAME plays safe by 5 %, but no target would do so; the gain is the one that fits best.

    Raises:
        ValueError: there is no such codec, or it does not know the sample rate.
    """
    if name not in CONTAINERS or sample_rate_hz not in _RATES_HZ[name]:
        raise ValueError(f"`name` (={name!r}) must be one of {sorted(CONTAINERS)}, at a rate such as 44100 Hz or 48000")
    file = io.BytesIO()
    _encode(file, audio / audio.abs().max().clamp_min(1), *CONTAINERS[name], bit_rate, sample_rate_hz)
    file.seek(0)
    with av.open(file) as container:
        frames = [torch.from_numpy(frame.to_ndarray()) for frame in container.decode(audio=0)]
    empty = torch.zeros(len(audio), 0)  # AAC leaves nothing of a single sample
    decoded = torch.cat([empty, *frames], -1)[:, : audio.shape[-1]].to(audio)
    decoded = F.pad(decoded, (0, audio.shape[-1] - decoded.shape[-1]))
    return decoded * ((audio * decoded).sum() / decoded.square().sum().clamp_min(1e-9))


def _encode(file: io.BytesIO, audio: Tensor, encoder: str, container: str, bit_rate: int, sample_rate_hz: int) -> None:
    layout = "mono" if audio.shape[0] == 1 else "stereo"
    samples = audio.detach().cpu().float().contiguous().numpy()
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
    frame.sample_rate, frame.pts = sample_rate_hz, 0
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(encoder, rate=sample_rate_hz, layout=layout)
        stream.bit_rate = bit_rate
        for part in (frame, None):
            output.mux(stream.encode(part))


@dataclass(frozen=True)
class Codec:
    """Pass a mixture through a lossy codec, its targets staying clean: songs come as MP3 and AAC, stems do not.

    Args:
        names: codecs, of :data:`CONTAINERS`.
        bit_rates: in bit/s, for both channels together.
        probability: how often.
    """

    names: Sequence[str] = ("mp3", "aac")
    bit_rates: Sequence[int] = (64_000, 96_000, 128_000, 192_000, 256_000)
    probability: float = 0.2

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if not self.names or not {*self.names} <= {*CONTAINERS} or not self.bit_rates:
            raise ValueError(f"`names` (={list(self.names)}) must be some of {sorted(CONTAINERS)}, with `bit_rates`")

    def draw(self, generator: Generator) -> tuple[str, int]:
        """A codec and its bit rate."""
        name = self.names[integer(0, len(self.names) - 1, generator)]
        return name, self.bit_rates[integer(0, len(self.bit_rates) - 1, generator)]

    def apply(self, audio: Tensor, drawn: tuple[str, int], sample_rate_hz: int) -> Tensor:
        """See :func:`codec`."""
        return codec(audio, *drawn, sample_rate_hz)
