"""Ten seconds to show: the part of a song in which a source is loudest, and sounds and pictures inside a web page."""

import base64
import io
import math
from dataclasses import dataclass, field

import soundfile
import torch
from torch import Tensor

from demixer.audio import resample

MP3_RATE_HZ = 44_100  # above 48 kHz there is no mp3
EXCERPT_SECONDS = 10.0


@dataclass(frozen=True)
class Excerpt:
    """Some seconds of one target of one song: the waveforms (C, L) of ``mixture``, ``truth`` and ``estimate``."""

    song: str
    target: str
    usdr_db: float
    sample_rate_hz: int
    start_seconds: float
    waveforms: dict[str, Tensor]

    @property
    def seconds(self) -> float:
        return self.waveforms["truth"].shape[-1] / self.sample_rate_hz


@dataclass
class Gallery:
    """Keeps an excerpt of the best and of the worst song of each target, and of no other: memory stays bounded."""

    best: dict[str, Excerpt] = field(default_factory=dict)
    worst: dict[str, Excerpt] = field(default_factory=dict)

    def offer(self, song: str, target: str, usdr_db: float, sample_rate_hz: int, waveforms: dict[str, Tensor]) -> None:
        """Consider a song; of its ``waveforms`` (as in :class:`Excerpt`, but whole) only a copy of a part is kept.

        A song without a score (its target is silent) is neither good nor bad.
        """
        if math.isnan(usdr_db):
            return
        better = target not in self.best or usdr_db > self.best[target].usdr_db
        worse = target not in self.worst or usdr_db < self.worst[target].usdr_db
        if not (better or worse):
            return
        part = loudest_part(waveforms["truth"], round(EXCERPT_SECONDS * sample_rate_hz))
        kept = {name: waveform[:, part].clone() for name, waveform in waveforms.items()}
        excerpt = Excerpt(song, target, usdr_db, sample_rate_hz, part.start / sample_rate_hz, kept)
        if better:
            self.best[target] = excerpt
        if worse:
            self.worst[target] = excerpt


def loudest_part(waveform: Tensor, length_samples: int) -> slice:
    """The ``length_samples`` of ``waveform`` (C, L) with the most energy, to a tenth of that length.

    >>> loudest_part(torch.tensor([[0.0, 0, 0, 0, 5, 1, 0, 0]]), 2)
    slice(4, 6, None)
    """
    total = waveform.shape[-1]
    if total <= length_samples:
        return slice(0, total)
    energy = torch.cat([torch.zeros(1, dtype=torch.float64), waveform.double().square().sum(0).cumsum(0)])
    starts = torch.arange(0, total - length_samples + 1, max(length_samples // 10, 1))
    start = int(starts[torch.argmax(energy[starts + length_samples] - energy[starts])])
    return slice(start, start + length_samples)


def mp3_uri(waveform: Tensor, sample_rate_hz: int) -> str:
    """The waveform (C, L) as the ``data:`` address of an mp3, which every browser plays; samples beyond ±1 clip."""
    samples = resample(waveform, sample_rate_hz, MP3_RATE_HZ).clamp(-1, 1).numpy().T
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, MP3_RATE_HZ, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.4)
    return data_uri("audio/mpeg", buffer.getvalue())


def data_uri(kind: str, content: bytes) -> str:
    """The address that is a file's content itself.

    >>> data_uri("text/plain", b"la")
    'data:text/plain;base64,bGE='
    """
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
