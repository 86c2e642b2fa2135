"""Songs, and models that need no training, for the tests of inference; and a port for those that serve."""

import socket
from pathlib import Path

import av
import numpy as np
import soundfile
import torch
from torch import Tensor

from demixer import AudioParams, Separator
from demixer.audio import AudioReader, open_audio
from demixer.checkpoints.hparams import write_hparams
from demixer.checkpoints.locating import WEIGHTS_NAME
from demixer.checkpoints.weights import write_weights
from demixer.model.building import build_network
from demixer.sources import SOURCES

TARGETS = SOURCES
TINY_HPARAMS = {
    "targets": list(TARGETS),
    "bands_hz": [[4000, 1000], [20000, 4000]],
    "featurizer": {"n_fft": 512, "hop_samples": 256, "sample_rate_hz": 44100},
    "model": {"features": 4, "repeats": 1},
    "audio_params": {"window_seconds": 0.5, "hop_seconds": 0.25, "batch_size": 4, "fade": "triangle"},
}


def write_tiny_model(folder: Path, seed: int = 0) -> Path:
    """A model's folder with random weights."""
    torch.manual_seed(seed)
    write_hparams(folder, TINY_HPARAMS)
    write_weights(folder / WEIGHTS_NAME, build_network(TINY_HPARAMS).state_dict())
    return folder


def write_tiny_bank(folder: Path) -> Path:
    """A folder of models with random weights, one for each target."""
    for seed, target in enumerate(TARGETS):
        torch.manual_seed(seed)
        hparams = {**TINY_HPARAMS, "targets": [target]}
        write_hparams(folder / target, hparams)
        write_weights(folder / target / WEIGHTS_NAME, build_network(hparams).state_dict())
    return folder


def share_separator(shares: dict[str, float], **params: float) -> Separator:
    """Each target is a fixed share of the mixture: what comes out is known to the sample."""
    gains = torch.tensor(list(shares.values()))[:, None, None]
    settings = AudioParams(**{"window_seconds": 0.3, "hop_seconds": 0.2, **params})
    return Separator(lambda mixture: gains * mixture.unsqueeze(1), shares, 44100, settings)


def noise(samples: int, channels: int = 2, peak: float = 0.5, seed: int = 0) -> Tensor:
    """(C, L) uniform in ±peak, one sample at the peak."""
    waveform = (torch.rand(channels, samples, generator=torch.Generator().manual_seed(seed)) * 2 - 1) * peak
    waveform[:, samples // 2] = peak
    return waveform


def music(samples: int, sample_rate_hz: int = 44100, channels: int = 2) -> Tensor:
    """(C, L) of tones below 3 kHz that swell and fade: what a lossy encoder keeps."""
    seconds = torch.arange(samples, dtype=torch.float64) / sample_rate_hz
    parts = [torch.sin(2 * torch.pi * hz * seconds) * torch.sin(2 * torch.pi * (hz / 300) * seconds) for hz in TONES_HZ]
    return (0.1 * sum(parts)).float().expand(channels, -1).clone()


TONES_HZ = (220, 554, 1318, 2960)


def write_song(path: Path, waveform: Tensor, sample_rate_hz: int = 44100, subtype: str | None = "FLOAT") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        kind = path.suffix[1:].upper()
        soundfile.write(file, waveform.numpy().T, sample_rate_hz, subtype=subtype, format=kind)
    return path


def decoded(path: Path, block: int = 10_000) -> tuple[Tensor, AudioReader]:
    """What our reader makes of a file (C, L), and the reader."""
    with open_audio(path) as audio:
        return torch.cat(list(audio.blocks(block)), dim=-1), audio


def encode(
    path: Path,
    codec: str,
    waveform: Tensor | None = None,
    rate_hz: int = 44100,
    options: dict[str, str] | None = None,
    streams: int = 1,
    tags: dict[str, str] | None = None,
    stream_tags: dict[str, str] | None = None,
) -> Path:
    """Write a file with FFmpeg's encoders; with several streams, the first has the waveform, others are silent."""
    waveform = music(20_003, rate_hz) if waveform is None else waveform
    layout = "mono" if len(waveform) == 1 else "stereo"
    with av.open(str(path), "w", options=options or {}) as container:
        container.metadata.update(tags or {})
        for number, stream in enumerate([container.add_stream(codec, rate_hz, layout=layout) for _ in range(streams)]):
            stream.bit_rate = 256_000
            stream.metadata.update(stream_tags or {})
            frame = av.AudioFrame.from_ndarray((waveform if not number else 0 * waveform).numpy(), "fltp", layout)
            frame.sample_rate, frame.pts = rate_hz, 0
            fitting = av.AudioResampler(stream.format, layout, rate_hz, frame_size=stream.frame_size or None)
            for part in (*fitting.resample(frame), *fitting.resample(None)):
                container.mux(stream.encode(part))
            container.mux(stream.encode(None))
    return path


def read(path: Path) -> np.ndarray:
    """(C, L) in float64."""
    return soundfile.read(path, always_2d=True)[0].T


def snr_db(reference: np.ndarray | Tensor, estimate: np.ndarray | Tensor) -> float:
    reference, estimate = np.asarray(reference, float), np.asarray(estimate, float)
    return 10 * np.log10((reference**2).sum() / (((reference - estimate) ** 2).sum() + 1e-12))


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def forget_length(flac: Path) -> None:
    """Make a FLAC file as an encoder writes it into a pipe: it cannot go back to tell the number of samples."""
    content = bytearray(flac.read_bytes())
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    flac.write_bytes(content)
