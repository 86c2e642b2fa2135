"""What of a song goes into the separator: an excerpt, or many channels mixed down to two."""

import av
import numpy as np
import pytest
import soundfile
import torch

from demixer.commands.demix import parse
from demixer.errors import UserError
from demixer.page.limits import Limits
from demixer.songs.catalogue import separate_catalogue
from demixer.songs.downmix import downmix_matrix
from demixer.songs.finding import find_songs
from demixer.songs.mixture import open_mixture
from demixer.songs.options import Options
from demixer.songs.separating import separate_song
from tests.song_files import encode, music, noise, read, share_separator, snr_db, write_song

HALF_POWER = 2**-0.5


def separate(path, output_dir, **options):
    return separate_catalogue([path], output_dir, share_separator({"vocals": 0.5}), Options(**options))


def stem(tmp_path, name="song"):
    return read(tmp_path / "out" / f"{name}_vocals.wav")


# An excerpt


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [(0.0, 1.0, slice(0, 44_100)), (0.5, 1.25, slice(22_050, 55_125)), (1.0, None, slice(44_100, 88_200)),
     (1.5, 99.0, slice(66_150, 88_200)), (0.1234, 0.1235, slice(5442, 5446))],
)  # fmt: skip
def test_only_the_excerpt_is_separated(tmp_path, capsys, start, end, expected):
    song = noise(88_200)
    path = write_song(tmp_path / "song.wav", song)
    assert separate(path, tmp_path / "out", start_seconds=start, end_seconds=end) == 0
    assert np.abs(stem(tmp_path) - 0.5 * song[:, expected].numpy()).max() < 1e-6
    assert " alone\n" in capsys.readouterr().err


def test_only_the_excerpt_is_read(tmp_path, monkeypatch):
    path = write_song(tmp_path / "song.wav", noise(400_000))
    read_frames, whole_read = [], soundfile.SoundFile.read

    def watched(file, frames=-1, *arguments, **options):
        read_frames.append((file.tell(), frames))
        return whole_read(file, frames, *arguments, **options)

    monkeypatch.setattr(soundfile.SoundFile, "read", watched)
    (song,), _ = find_songs([path], tmp_path / "out", ["vocals"], ".wav")
    options = Options(start_seconds=2.0, end_seconds=2.5)
    separate_song(song, share_separator({"vocals": 0.5}), options, block_samples=10_000)
    assert [place for place, _ in read_frames] == [88_200, 98_200, 108_200]


def test_progress_is_told_of_the_excerpt(tmp_path):
    path, told = write_song(tmp_path / "song.wav", noise(200_000)), []
    (song,), _ = find_songs([path], tmp_path / "out", ["vocals"], ".wav")

    def begin(seconds):
        assert seconds == pytest.approx(2.0)
        return told.append

    separate_song(song, share_separator({"vocals": 0.5}), Options(start_seconds=1.0, end_seconds=3.0), begin)
    assert sum(told) == pytest.approx(2.0)


def test_an_excerpt_that_clips_is_the_same_excerpt(tmp_path):
    """It is separated again from its own start on, not the song's."""
    song = noise(88_200, peak=0.3)
    song[:, 60_000] = 0.9
    path = write_song(tmp_path / "song.wav", song)
    options = Options(format="wav24", start_seconds=1.0)
    assert separate_catalogue([path], tmp_path / "out", share_separator({"vocals": 2.0}), options) == 0
    assert snr_db(song[:, 44_100:] * (1 - 1e-4) / 0.9, stem(tmp_path)) > 100


@pytest.mark.parametrize("suffix", [".flac", ".mp3"])
def test_an_excerpt_of_a_compressed_file(tmp_path, capsys, suffix):
    """To the sample; and what was skipped is not taken for damage."""
    path = write_song(tmp_path / f"song{suffix}", noise(10 * 44_100), subtype=None)
    assert separate(path, tmp_path / "whole") == 0
    whole = read(tmp_path / "whole" / "song_vocals.wav")
    assert separate(path, tmp_path / "out", start_seconds=6.0) == 0
    excerpt = stem(tmp_path)
    assert whole.shape[1] - excerpt.shape[1] == 6 * 44_100
    assert np.abs(excerpt[:, 4000:] - whole[:, 6 * 44_100 + 4000 :]).max() < 1e-5
    assert "damaged" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mpg", "mp2"), (".tta", "tta"), (".m4a", "aac"), (".mkv", "aac"), (".webm", "libopus")]
)
def test_an_excerpt_begins_where_it_was_asked_for(tmp_path, suffix, codec):
    """An MPEG's timestamps begin at half a second, a frame of TTA lasts one; Matroska's are rounded to 1 ms."""
    rate_hz = 48_000 if codec == "libopus" else 44_100
    path = encode(tmp_path / f"song{suffix}", codec, music(4 * rate_hz, rate_hz), rate_hz)
    start = round(2.3 * rate_hz)
    with open_mixture(path, Options(), 10_000) as mixture:
        whole = torch.cat(list(mixture.blocks()), dim=-1)
    with open_mixture(path, Options(start_seconds=2.3), 10_000) as mixture:
        excerpt = torch.cat(list(mixture.blocks()), dim=-1)
    late = whole.shape[1] - excerpt.shape[1] - start
    assert abs(late) <= rate_hz // 1000
    assert snr_db(whole[:, start + late :], excerpt) > 40  # Opus takes a second to be itself again


@pytest.mark.parametrize(
    ("suffix", "codec", "options"), [(".aac", "aac", {}), (".mp3", "libmp3lame", {"write_xing": "0"})]
)
@pytest.mark.parametrize("loud_at", [0, 9])
def test_an_estimated_length_refuses_nothing(tmp_path, suffix, codec, options, loud_at):
    """The bit rate at the start tells of 2 s, or of a minute, where there are 10."""
    song = 1e-4 * music(10 * 44_100)
    song[:, loud_at * 44_100 : (loud_at + 1) * 44_100] = noise(44_100)
    path = encode(tmp_path / f"song{suffix}", codec, song, options=options)
    with open_mixture(path, Options(start_seconds=8.0), 10_000) as mixture:
        assert sum(block.shape[1] for block in mixture.blocks()) == pytest.approx(2 * 44_100, abs=3 * 1152)
        assert mixture.seconds is None or mixture.seconds > 0
    assert Limits(minutes=11 / 60).check(path).seconds is None, (
        "the page tells it of no length, and stops as it decodes"
    )


def test_an_excerpt_after_the_end_is_refused(tmp_path, capsys):
    path = write_song(tmp_path / "song.wav", noise(44_100))
    assert separate(path, tmp_path / "out", start_seconds=60.0) == 1
    assert capsys.readouterr().err == f"error: `{path}`: it is 1.0 s long: `--start` (=60) is after its end\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start_seconds": -1.0}, r"`--start` \(=-1\) must be a time from 0 s on"),
        ({"start_seconds": float("nan")}, r"`--start` \(=nan\) must be"),
        ({"start_seconds": 20.0, "end_seconds": 10.0}, r"`--end` \(=10\) must be after `--start` \(=20\)"),
        ({"end_seconds": 0.0}, r"`--end` \(=0\) must be after `--start`"),
        ({"end_seconds": float("inf")}, r"`--end` \(=inf\)"),
    ],
)
def test_impossible_excerpts_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Options(**options)


@pytest.mark.parametrize("text", ["soon", "1:60", "1:2:3:4", "-1:30", "1:", ""])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UserError, match=f"argument --end: '{text}' is no time: write seconds, or m:ss"):
        parse(["song.wav", f"--end={text}"])


def test_times_are_given_as_players_show_them():
    args = parse(["song.wav", "--start", "0:30", "--end", "1:00:01.5"])
    assert (args.start_seconds, args.end_seconds) == (30.0, 3601.5)


# Many channels

TONES_HZ = (300, 500, 700, 900, 1100, 1300)
SECONDS = torch.arange(44_100, dtype=torch.float64) / 44_100


def tones(count):
    """(C, L): each channel is a tone of its own."""
    return torch.stack([0.1 * torch.sin(2 * torch.pi * hz * SECONDS) for hz in TONES_HZ[:count]]).float()


def heard(samples):
    """The amplitude of each tone in each channel, over 0.1: (C, tones)."""
    waves = np.stack([np.sin(2 * np.pi * hz * SECONDS.numpy()) for hz in TONES_HZ])
    return 2 * (samples[:, None] * waves).mean(-1) / 0.1


EXPECTED = np.array(
    [[1, 0, HALF_POWER, 0, HALF_POWER, 0], [0, 1, HALF_POWER, 0, 0, HALF_POWER]]
)  # of L R C LFE Ls Rs in that order


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".caf"])
def test_surround_is_mixed_down_as_the_standard_says(tmp_path, suffix):
    path = write_song(tmp_path / f"song{suffix}", tones(6), subtype="PCM_16")
    assert separate(path, tmp_path / "out", downmix=True) == 0
    np.testing.assert_allclose(2 * heard(stem(tmp_path)), EXPECTED, atol=0.002)


def test_the_channels_of_an_ogg_file_are_told_apart(tmp_path):
    """Vorbis has its channels in another order (left, centre, right, surrounds, LFE), which libsndfile hands on."""
    in_order_of_vorbis = tones(6)[[0, 2, 1, 4, 5, 3]]
    in_order_of_vorbis[5] = 0  # the LFE, which Vorbis cuts at low frequencies
    path = write_song(tmp_path / "song.ogg", in_order_of_vorbis, subtype=None)
    assert separate(path, tmp_path / "out", downmix=True) == 0
    np.testing.assert_allclose(2 * heard(stem(tmp_path)), EXPECTED, atol=0.02)


def test_the_channels_of_an_aac_file_are_told_apart(tmp_path):
    with av.open(str(tmp_path / "song.m4a"), "w") as container:
        stream = container.add_stream("aac", rate=44_100)
        stream.layout, stream.bit_rate = "5.1", 400_000
        for start in range(0, 44_032, 1024):
            block = np.ascontiguousarray(tones(6)[:, start : start + 1024].numpy())
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="5.1")
            frame.sample_rate, frame.pts = 44_100, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert separate(tmp_path / "song.m4a", tmp_path / "out", downmix=True) == 0
    samples = stem(tmp_path)[:, : 44_100 - 100]
    spectrum = np.abs(np.fft.rfft(samples, 44_100)) * 2 / 44_100 / 0.1
    np.testing.assert_allclose(2 * spectrum[:, TONES_HZ], EXPECTED, atol=0.05)


def test_mono_and_stereo_are_left_alone(tmp_path):
    for channels in (1, 2):
        song = noise(20_000, channels)
        path = write_song(tmp_path / f"{channels}.wav", song)
        assert separate(path, tmp_path / "out", downmix=True) == 0
        assert np.abs(stem(tmp_path, channels) - 0.5 * song.numpy()).max() < 1e-6


@pytest.mark.parametrize("count", range(3, 9))
def test_layouts_that_are_only_counted_are_those_of_wav_files(count):
    matrix = downmix_matrix(["NONE"] * count)
    assert matrix.shape == (2, count)
    assert torch.equal(matrix[:, :2], torch.eye(2))
    assert torch.allclose(matrix[0].sum(), matrix[1].sum())


@pytest.mark.parametrize("names", [("FL", "FR", "TFL", "TFR"), ("NONE",) * 9])
def test_channels_without_a_share_are_refused(names):
    with pytest.raises(UserError, match=r"`--downmix` knows no share of the channels (TFL, TFR|NONE) "):
        downmix_matrix(names)
