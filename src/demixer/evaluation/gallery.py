"""Ten seconds to show: the part of a song in which a source is loudest, as sound and as a picture for a web page."""

import base64
import io
import math
from dataclasses import dataclass, field

import matplotlib.image
import soundfile
import torch
from torch import Tensor

from demixer.audio import resample

MP3_RATE_HZ = 44_100  # above 48 kHz there is no mp3
LOWEST_HZ, HIGHEST_HZ = 40.0, 16_000.0
RANGE_DB = 80.0
ROWS, COLUMNS = 192, 640
FFT = 4096
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
        """Consider a song; of its ``waveforms`` (as in :class:`Excerpt`, but whole) only a copy of a part is kept."""
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
    return _data_uri("audio/mpeg", buffer.getvalue())


def spectrogram_uri(waveform: Tensor, sample_rate_hz: int, top_db: float) -> str:
    """The spectrogram of (C, L) as the ``data:`` address of a picture: time across, pitch upwards (logarithmic).

    Args:
        waveform: the sound.
        sample_rate_hz: its rate.
        top_db: the level shown brightest (see :func:`peak_db`); ``RANGE_DB`` below it is black. Handing in the
            mixture's for all pictures of a song makes them comparable.
    """
    level_db = _levels_db(waveform)
    bins_per_hz = FFT / sample_rate_hz
    octaves = math.log2(HIGHEST_HZ / LOWEST_HZ)
    rows_hz = LOWEST_HZ * 2 ** (torch.linspace(0, 1, ROWS) * octaves)
    position = (rows_hz * bins_per_hz).clamp(max=level_db.shape[0] - 1.001)
    below = position.floor().long()
    share = (position - below)[:, None]
    picture = level_db[below] * (1 - share) + level_db[below + 1] * share
    buffer = io.BytesIO()
    limits = {"vmin": top_db - RANGE_DB, "vmax": top_db, "cmap": "magma", "origin": "lower"}
    matplotlib.image.imsave(buffer, picture.numpy(), format="webp", pil_kwargs={"quality": 80}, **limits)
    return _data_uri("image/webp", buffer.getvalue())


def peak_db(waveform: Tensor) -> float:
    """The highest level that :func:`spectrogram_uri` would show of (C, L)."""
    return _levels_db(waveform).max().item()


def _levels_db(waveform: Tensor) -> Tensor:
    """Power in dB, the mean of the channels, in about ``COLUMNS`` frames (F, T)."""
    padded = torch.nn.functional.pad(waveform, (FFT // 2, FFT // 2))
    hop = max(waveform.shape[-1] // COLUMNS, 1)
    spectrum = torch.stft(padded, FFT, hop, window=torch.hann_window(FFT), center=False, return_complex=True)
    return 10 * torch.log10(spectrum.abs().square().mean(0) + 1e-10)


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
