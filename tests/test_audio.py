"""Audio files and rates: what is written comes back, and no sample is lost or moved."""

from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch

from demixer.audio import FORMATS, open_audio, open_streams, read_audio, write_audio
from demixer.errors import UserError
from tests.song_files import decoded, encode, music, noise, read, snr_db, write_song

LENGTH = 20_003


# Reading


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_wav_of_any_depth(tmp_path, subtype):
    samples, audio = decoded(write_song(tmp_path / "song.wav", music(LENGTH), subtype=subtype))
    assert (audio.channels, audio.sample_rate_hz, audio.frames, audio.damage) == (2, 44100, LENGTH, None)
    assert samples.shape == (2, LENGTH)
    assert snr_db(music(LENGTH), samples) > 20  # 8 bits of a quiet song reach that


@pytest.mark.parametrize(
    ("name", "subtype"), [("flac", "PCM_24"), ("ogg", "VORBIS"), ("mp3", None), ("aiff", "PCM_16")]
)
def test_other_formats_of_soundfile(tmp_path, name, subtype):
    samples, audio = decoded(write_song(tmp_path / f"song.{name}", music(LENGTH), subtype=subtype))
    assert samples.shape == (2, LENGTH)
    assert audio.damage is None
    assert snr_db(music(LENGTH), samples) > 25


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz", "exact"),
    [
        ("song.m4a", "aac", 44100, True),
        ("song.mp4", "alac", 44100, True),
        ("song.mov", "pcm_s24le", 44100, True),
        ("song.wav", "pcm_s64le", 44100, True),
        ("song.mkv", "flac", 44100, True),
        ("song.webm", "libopus", 48000, True),
        ("song.opus", "libopus", 48000, True),
        ("song.aac", "aac", 44100, False),
        ("song.wma", "wmav2", 44100, False),
        ("song.ac3", "ac3", 44100, False),
        ("song.mka", "aac", 44100, False),
        ("song.avi", "pcm_s16le", 44100, True),
        ("studio.m4a", "aac", 48000, True),
        ("song.mp3", "libmp3lame", 44100, True),
    ],
)
def test_containers(tmp_path, name, codec, rate_hz, exact):
    """Where the container tells the length, it is exact; elsewhere the encoder's padding may remain at the end."""
    samples, audio = decoded(encode(tmp_path / name, codec, rate_hz=rate_hz))
    assert audio.sample_rate_hz == rate_hz
    assert audio.damage is None
    if exact:
        assert samples.shape == (2, LENGTH)
        assert snr_db(music(LENGTH, rate_hz), samples) > 20
    else:
        assert abs(samples.shape[1] - LENGTH) < 4 * 2048


def test_blocks_do_not_change_what_is_decoded(tmp_path):
    path = encode(tmp_path / "song.m4a", "aac")
    assert torch.equal(decoded(path, 1_000)[0], decoded(path, 1 << 20)[0])
    with open_audio(path) as audio:
        sizes = [block.shape[1] for block in audio.blocks(1_000)]
    assert set(sizes[:-1]) == {1_000}


def test_the_first_stream_of_a_stem_file_is_the_mixture(tmp_path):
    samples, _ = decoded(encode(tmp_path / "song.stem.mp4", "aac", streams=5))
    assert samples.shape == (2, LENGTH)
    assert snr_db(music(LENGTH), samples) > 20


@pytest.mark.parametrize(("whole_frames", "length"), [(False, LENGTH), (True, 20 * 1024)])
def test_every_stream_of_a_stem_file(tmp_path, whole_frames, length):
    with open_streams(encode(tmp_path / "song.stem.mp4", "aac", streams=5), whole_frames) as readers:
        streams = torch.stack([torch.cat(list(reader.blocks(1_000)), dim=-1) for reader in readers])
    assert streams.shape == (5, 2, length)
    assert snr_db(music(LENGTH), streams[0, :, :LENGTH]) > 20
    assert streams[1:].abs().max() < 1e-6


def test_streams_are_opened_as_songs_are(tmp_path):
    (tmp_path / "empty.mp4").touch()
    for path, reason in ((tmp_path, "it is a folder"), (tmp_path / "empty.mp4", "the file is empty")):
        with pytest.raises(UserError, match=reason), open_streams(path):
            pass


def test_mono_stays_mono(tmp_path):
    assert decoded(encode(tmp_path / "song.m4a", "aac", music(LENGTH, channels=1)))[0].shape == (1, LENGTH)


def test_mp3_without_a_header(tmp_path):
    """Half a second of noise, then silence: a length guessed from the bit rate at the start would be far too short."""
    waveform = torch.zeros(2, 441_000)
    waveform[:, :22_050] = noise(22_050)
    path = encode(tmp_path / "song.mp3", "libmp3lame", waveform, options={"write_xing": "0"})
    samples, audio = decoded(path)
    assert audio.damage is None
    assert 441_000 <= samples.shape[1] < 441_000 + 3 * 1152


@pytest.mark.parametrize(
    "playlist",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.wav\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile secret.wav\n",
    ],
)
def test_no_decoder_follows_a_playlist(tmp_path, monkeypatch, playlist):
    monkeypatch.chdir(tmp_path)
    write_song(tmp_path / "secret.wav", music(1_000))
    path = tmp_path / "song.m4a"
    path.write_text(playlist)
    with pytest.raises(UserError, match="it is no audio, or damaged beyond decoding"), open_audio(path):
        pass


def test_read_audio_seeks(tmp_path):
    path = write_song(tmp_path / "song.wav", noise(1_000))
    samples, rate_hz = read_audio(path, start=300, frames=50)
    assert rate_hz == 44100
    assert torch.equal(samples, noise(1_000)[:, 300:350])


def test_write_audio_is_read_back(tmp_path):
    write_audio(tmp_path / "new" / "song.wav", noise(1_000), 22050)
    samples, rate_hz = read_audio(tmp_path / "new" / "song.wav")
    assert rate_hz == 22050
    assert torch.equal(samples, noise(1_000))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["song.wav"]


def test_read_audio_names_the_file_that_is_missing(tmp_path):
    with pytest.raises(UserError, match=r"cannot read `.*nothing\.wav`"):
        read_audio(tmp_path / "nothing.wav")


# Formats


def written(tmp_path, name, waveform, block=999):
    path = tmp_path / f"stem{FORMATS[name].suffix}"
    with FORMATS[name].open(path, 44100, len(waveform)) as write:
        for part in waveform.split(block, dim=-1):
            write(part)
    return path


@pytest.mark.parametrize(("name", "bits"), [("wav16", 16), ("wav24", 24), ("flac", 24)])
def test_integer_formats_round_to_the_nearest_step(tmp_path, name, bits):
    waveform = noise(5_000)
    step = 2.0 ** (1 - bits)
    result = read(written(tmp_path, name, waveform))
    assert np.abs(result - waveform.double().numpy()).max() <= step / 2
    assert np.array_equal(result, FORMATS[name].quantise(waveform).double().numpy())
    again = written(tmp_path, name, torch.from_numpy(result).float())
    assert np.array_equal(read(again), result)


@pytest.mark.parametrize(("name", "bits"), [("wav16", 16), ("wav24", 24), ("flac", 24)])
def test_integer_formats_cut_at_their_limits_instead_of_wrapping(tmp_path, name, bits):
    result = read(written(tmp_path, name, torch.tensor([[-2.0, -1.0, 1.0, 2.0]])))
    highest = 1 - 2.0 ** (1 - bits)
    assert result[0].tolist() == [-1.0, -1.0, highest, highest]
    assert FORMATS[name].highest == highest


def test_float_wav_keeps_everything(tmp_path):
    waveform = 3 * noise(5_000)
    assert np.array_equal(read(written(tmp_path, "wav32f", waveform)), waveform.double().numpy())


@pytest.mark.parametrize("name", ["mp3", "ogg"])
def test_lossy_formats_keep_length_and_place(tmp_path, name):
    result = read(written(tmp_path, name, music(LENGTH)))
    assert result.shape == (2, LENGTH)
    assert snr_db(music(LENGTH), result) > 25


def test_a_long_block_does_not_crash_the_vorbis_encoder(tmp_path):
    path = written(tmp_path, "ogg", torch.zeros(2, 1 << 21), block=1 << 21)
    assert soundfile.info(path).frames == 1 << 21


@pytest.mark.parametrize(("hours", "kind"), [(3, "WAV"), (4, "RF64")])
def test_stems_beyond_the_limit_of_wav_become_rf64(tmp_path, hours, kind):
    path = tmp_path / "stem.wav"
    with FORMATS["wav32f"].open(path, 44100, 2, frames=hours * 3600 * 44100) as write:
        write(noise(100))
    assert soundfile.info(path).format == kind
    assert np.array_equal(read(path), noise(100).double().numpy())


@pytest.mark.parametrize("name", ["wav16", "wav32f"])
def test_stems_of_unknown_length_may_go_beyond_the_limit_of_wav(tmp_path, name):
    """What came after 4 GB was lost: there is room in the header for RF64's sizes, and below 4 GB it is a WAV's."""
    path = tmp_path / "stem.wav"
    with FORMATS[name].open(path, 44100, 2) as write:
        write(noise(100))
    assert path.read_bytes()[:4] + path.read_bytes()[8:16] == b"RIFFWAVEJUNK"
    assert np.abs(read(path) - noise(100).double().numpy()).max() < 2.0**-15


def test_a_rate_that_the_format_cannot_hold_is_refused():
    FORMATS["mp3"].check_rate(48000, 2)
    with pytest.raises(UserError, match="mp3 cannot hold 96000 Hz"):
        FORMATS["mp3"].check_rate(96000, 2)


def test_overshoot_is_measured_against_what_does_not_clip():
    wav16 = FORMATS["wav16"]
    assert wav16.overshoot(torch.tensor([-1.0, 32767 / 32768])) == 1.0
    assert wav16.overshoot(torch.tensor([0.0, 1.0])) > 1.0
    assert wav16.overshoot(torch.tensor([-1.5, 0.0])) == 1.5


def test_finer_formats_have_finer_steps():
    waveform = noise(1_000)
    errors = [(FORMATS[name].quantise(waveform) - waveform).abs().max() for name in ("wav16", "wav24", "wav32f")]
    assert all(coarse > fine for coarse, fine in pairwise(errors))
