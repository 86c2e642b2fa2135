"""Audio files and rates: whole files at once, or any file as a stream of blocks; samples are float32, (C, L)."""

from demixer.audio.files import read_audio, write_audio
from demixer.audio.formats import FORMATS, AudioFormat
from demixer.audio.reading import AUDIO_SUFFIXES, AudioReader, open_audio, open_streams
from demixer.audio.resampling import resample, resample_blocks
from demixer.audio.tags import read_tags, write_tags
from demixer.audio.writing import open_stems

__all__ = [
    "AUDIO_SUFFIXES",
    "FORMATS",
    "AudioFormat",
    "AudioReader",
    "open_audio",
    "open_stems",
    "open_streams",
    "read_audio",
    "read_tags",
    "resample",
    "resample_blocks",
    "write_audio",
    "write_tags",
]
