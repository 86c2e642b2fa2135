"""Audio files as the world has them: foreign tags, no length, changes within, and an end that is missing."""

import struct

import numpy as np
import pytest
import torch

from tests.song_files import decoded, encode, forget_length, music, noise, snr_db, write_song

LENGTH = 30_011

# Tags

NAMES = {"latin-1": "Für Elise", "cp1251": "Привет", "shift-jis": "こんにちは"}


@pytest.mark.parametrize("encoding", NAMES)
def test_tags_that_are_not_utf8_do_not_matter(tmp_path, encoding):
    """ID3v1 knows no encoding, and old programs wrote that of their country into every container."""
    name = NAMES[encoding].encode(encoding)
    mp3 = encode(tmp_path / "song.mp3", "libmp3lame", options={"id3v2_version": "0"})
    sound = decoded(mp3)[0]
    mp3.write_bytes(mp3.read_bytes() + b"TAG" + (name.ljust(30, b"\0") * 3 + b"1999").ljust(125, b"\0"))
    assert torch.equal(decoded(mp3)[0], sound)


@pytest.mark.parametrize(
    ("name", "codec"), [("song.m4a", "aac"), ("song.mov", "aac"), ("song.mkv", "flac"), ("song.avi", "pcm_s16le")]
)
def test_the_tags_of_streams_do_not_matter_either(tmp_path, name, codec):
    path = encode(tmp_path / name, codec, tags={"title": "tag_of_file"}, stream_tags={"title": "tag_of_stream"})
    sound, content = decoded(path)[0], path.read_bytes()
    assert b"tag_of_" in content
    path.write_bytes(content.replace(b"tag_of_", b"\xcf\xf0\xe8\x83e\xfc "))
    assert torch.equal(decoded(path)[0], sound)


# Changes within


def joined(tmp_path, suffix, codec, *kinds):
    """Recordings of different (channels, sample rate), one after the other in one file."""
    options = {"write_xing": "0", "id3v2_version": "0"} if suffix == ".mp3" else {}
    content = b""
    for channels, rate_hz in kinds:
        part = encode(tmp_path / f"part{suffix}", codec, music(LENGTH, rate_hz, channels), rate_hz, options)
        content += part.read_bytes()
    (tmp_path / f"song{suffix}").write_bytes(content)
    return tmp_path / f"song{suffix}"


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp3", "libmp3lame"), (".ts", "mp2"), (".aac", "aac"), (".ogg", "flac")]
)
@pytest.mark.parametrize("kinds", [((2, 44100), (1, 44100)), ((1, 44100), (2, 44100)), ((2, 44100), (2, 48000))])
def test_joined_recordings_sound_alike(tmp_path, suffix, codec, kinds):
    """The same music in other channels and at another rate comes out as it began: as loud, as high, as long."""
    samples, audio = decoded(joined(tmp_path, suffix, codec, *kinds))
    assert (audio.channels, audio.sample_rate_hz) == kinds[0]
    assert audio.damage is None
    lengths = [LENGTH * 44100 // rate_hz for _, rate_hz in kinds]
    assert abs(samples.shape[1] - sum(lengths)) < 6 * 1152
    for part in (samples[:, : lengths[0] // 2], samples[:, -(lengths[1] // 2) :]):
        spectrum = torch.fft.rfft(part[0] * torch.hann_window(part.shape[1]), n=44_100).abs()
        loudest_hz = torch.tensor([spectrum[low : low + 400].argmax() + low for low in (20, 400, 1100, 2700)])
        assert (loudest_hz - torch.tensor([220, 554, 1318, 2960])).abs().max() < 30


def test_mono_within_stereo_is_as_loud(tmp_path):
    samples, _ = decoded(joined(tmp_path, ".ogg", "flac", (2, 44100), (1, 44100)))
    assert snr_db(music(LENGTH), samples[:, LENGTH:]) > 80


# No length


def test_flac_without_a_length(tmp_path):
    path = write_song(tmp_path / "song.flac", noise(LENGTH), subtype="PCM_16")
    forget_length(path)
    samples, audio = decoded(path)
    assert (audio.frames, audio.damage) == (None, None)
    assert snr_db(noise(LENGTH), samples) > 80


def test_several_ogg_files_in_one(tmp_path):
    path = write_song(tmp_path / "song.ogg", music(LENGTH), subtype="VORBIS")
    path.write_bytes(2 * path.read_bytes())
    samples, audio = decoded(path)
    assert audio.damage is None
    assert abs(samples.shape[1] - 2 * LENGTH) < 2_000


# An end that is missing

WHOLE = [
    ("song.wav", "PCM_16"),
    ("song.wav", "PCM_24"),  # of an odd size, with a byte to fill it up
    ("song.rf64", "FLOAT"),
    ("song.w64", "PCM_16"),
    ("song.aiff", "PCM_24"),
    ("song.au", "FLOAT"),
    ("song.caf", "PCM_16"),
    ("song.flac", "PCM_16"),
    ("song.ogg", "VORBIS"),
    ("song.avi", None),
    ("song.opus", None),
]
CODECS = {"song.avi": "pcm_s16le", "song.opus": "libopus"}


@pytest.fixture(params=WHOLE, ids=lambda kind: f"{kind[0]}-{kind[1]}")
def whole(tmp_path, request):
    name, subtype = request.param
    if subtype is None:
        return encode(tmp_path / name, CODECS[name], noise(100_001), 48000)
    return write_song(tmp_path / name, noise(100_001, 1), subtype=subtype)


@pytest.mark.parametrize("part", [0.99, 0.5])
def test_a_missing_end_is_noticed(whole, part):
    before, audio = decoded(whole)
    assert audio.damage is None
    content = whole.read_bytes()
    whole.write_bytes(content[: int(part * len(content))])
    after, audio = decoded(whole)
    assert 0 < after.shape[1] < before.shape[1]
    assert audio.damage is not None
    assert "\n" not in audio.damage


def test_the_missing_share_is_told(tmp_path):
    path = write_song(tmp_path / "song.wav", noise(100_000), subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:300_044])
    assert decoded(path)[1].damage == "its last 25 % are missing"


def with_sizes(riff, data):
    header = b"RIFF" + struct.pack("<I", riff) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 2, 44100, 176400, 4, 16)
    return header + b"data" + struct.pack("<I", data)


LIST = b"LIST" + struct.pack("<I", 14) + b"INFOINAM" + struct.pack("<I", 2) + b"a\0"


@pytest.mark.parametrize("size", [0, 0x7FFFF000, 0x80000000, 0xFFFFFFFF - 36, 0xFFFFFFFF])
def test_wav_from_a_pipe_is_whole(tmp_path, size):
    """Programs that cannot go back write a size of nothing, or the largest there is."""
    samples = (noise(LENGTH).numpy().T * 32767).astype("<i2")
    path = tmp_path / "song.wav"
    path.write_bytes(with_sizes(size, size) + samples.tobytes())
    read, audio = decoded(path)
    assert audio.damage is None
    assert np.array_equal(read.numpy() * 32768, samples.T)


@pytest.mark.parametrize("after", [LIST, b"id3 " + struct.pack("<I", 10) + b"ID3\3\0\0\0\0\0\0", b"\0" * 5, LIST[:-3]])
def test_what_follows_the_sound_is_no_damage(tmp_path, after):
    samples = (noise(LENGTH).numpy().T * 32767).astype("<i2").tobytes()
    path = tmp_path / "song.wav"
    path.write_bytes(with_sizes(len(samples) + 36, len(samples)) + samples + after)
    read, audio = decoded(path)
    assert (read.shape, audio.damage) == ((2, LENGTH), None)


def test_aiff_and_au_from_a_pipe_are_whole(tmp_path):
    au = write_song(tmp_path / "song.au", noise(LENGTH), subtype="PCM_16")
    content = bytearray(au.read_bytes())
    content[8:12] = b"\xff" * 4
    au.write_bytes(content)
    assert decoded(au)[1].damage is None
    aiff = write_song(tmp_path / "song.aiff", noise(LENGTH), subtype="PCM_16")
    content = bytearray(aiff.read_bytes())
    place = content.index(b"SSND")
    content[place + 4 : place + 8] = bytes(4)
    aiff.write_bytes(content)
    assert decoded(aiff)[1].damage is None
