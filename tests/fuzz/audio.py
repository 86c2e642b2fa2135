"""Audio files: every suffix that is read and can be written here, through the whole way from a song to its stems."""

import io
from functools import cached_property
from pathlib import Path
from random import Random

import av
import numpy as np
import soundfile

from demixer import AudioParams, Separator
from demixer.songs.finding import Song
from demixer.songs.options import Options
from demixer.songs.separating import separate_song
from tests.fuzz.formats import Format
from tests.fuzz.mutations import mutated_bytes

SAMPLES = 9_000  # two frames of FLAC
# suffix: how soundfile writes it, one file for each subtype
SOUNDFILE = {
    "wav": ("WAV", ("PCM_16", "FLOAT", "ULAW", "IMA_ADPCM", "GSM610")),
    "w64": ("W64", ("PCM_16", "FLOAT")),
    "rf64": ("RF64", ("PCM_24",)),
    "flac": ("FLAC", ("PCM_16",)),
    "ogg": ("OGG", ("VORBIS",)),
    "opus": ("OGG", ("OPUS",)),
    "aiff": ("AIFF", ("PCM_16", "FLOAT", "IMA_ADPCM")),
    "au": ("AU", ("PCM_16", "G721_32")),
    "caf": ("CAF", ("PCM_16", "ALAC_16")),
    "mp3": ("MP3", ("MPEG_LAYER_III",)),
}
# suffix: container and codec, as FFmpeg names them
CONTAINERS = {
    "m4a": ("mp4", "aac"),
    "mov": ("mov", "alac"),
    "3gp": ("3gp", "aac"),
    "aac": ("adts", "aac"),
    "wma": ("asf", "wmav2"),
    "webm": ("webm", "libopus"),
    "mkv": ("matroska", "flac"),
    "avi": ("avi", "pcm_s16le"),
    "mp2": ("mp2", "mp2"),
    "mpg": ("mpeg", "mp2"),
    "ts": ("mpegts", "aac"),
    "flv": ("flv", "aac"),
    "ac3": ("ac3", "ac3"),
    "wv": ("wv", "wavpack"),
    "tta": ("tta", "tta"),
}


def audio_formats() -> list[Format]:
    return [AudioFormat(suffix) for suffix in (*SOUNDFILE, *CONTAINERS)]


class AudioFormat(Format):
    """One suffix."""

    @cached_property
    def good(self) -> list[bytes]:
        if self.name in SOUNDFILE:
            container, subtypes = SOUNDFILE[self.name]
            return [_by_soundfile(container, subtype) for subtype in subtypes]
        return [_by_ffmpeg(*CONTAINERS[self.name])]

    @cached_property
    def separator(self) -> Separator:
        """An identity, since it is the reading that is tested."""
        params = AudioParams(window_seconds=0.2, hop_seconds=0.1)
        return Separator(lambda mixture: mixture.unsqueeze(1), ["all"], 44100, params)

    def write(self, folder: Path, random: Random) -> Path:
        path = folder / f"song.{self.name}"
        path.write_bytes(mutated_bytes(random.choice(self.good), random))
        return path

    def use(self, path: Path) -> str:
        stem = path.with_name("stem.wav")
        separated = separate_song(Song(path, {"all": stem}), self.separator, Options())
        assert soundfile.info(stem).frames > 0, "no stem, and no line that says why"
        return "; ".join(separated.notes)


def _tones() -> np.ndarray:
    """(L, C) in ±0.5."""
    seconds = np.arange(SAMPLES) / 44100
    return 0.25 * np.stack([np.sin(2764 * seconds), np.sin(3481 * seconds)], axis=1).astype(np.float32)


def _by_soundfile(container: str, subtype: str) -> bytes:
    mono = subtype in ("GSM610", "G721_32")
    stream = io.BytesIO()
    rate_hz = 48000 if subtype == "OPUS" else 44100
    soundfile.write(stream, _tones()[:, : 1 if mono else 2], rate_hz, subtype=subtype, format=container)
    return stream.getvalue()


def _by_ffmpeg(container: str, codec: str) -> bytes:
    stream = io.BytesIO()
    with av.open(stream, "w", format=container) as file:
        rate_hz = 48000 if codec == "libopus" else 44100
        track = file.add_stream(codec, rate=rate_hz, layout="stereo")
        track.bit_rate = 128_000  # wmav2 has no default
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(_tones().T), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = rate_hz, 0
        for packed in (frame, None):
            file.mux(track.encode(packed))
    return stream.getvalue()
