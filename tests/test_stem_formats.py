"""The files that stems are written to: equal for equal stems, as long as the song, with its title and cover."""

import json
import resource
import time
from contextlib import ExitStack

import pytest
import torch
from mutagen.mp4 import Atoms

from demixer.audio import FORMATS, open_stems, open_streams, read_tags, write_tags
from demixer.audio.tags import Tags
from demixer.errors import UserError
from tests.song_files import decoded, encode, music, noise, snr_db, write_song

ONE_STEM = [name for name in FORMATS if not FORMATS[name].holds_all]
LOSSY = ["mp3", "ogg", "m4a", "opus"]
STEMS = ("vocals", "drums", "bass", "other")


def written(path, name, waveform, rate_hz=None, block=999, bitrate_kbps=None):
    rate_hz = rate_hz or FORMATS[name].written_rate_hz(44_100)
    with FORMATS[name].open(path, rate_hz, len(waveform), waveform.shape[1], bitrate_kbps) as write:
        for part in waveform.split(block, dim=-1):
            write(part)
    return path


def stem_file(path, waveforms, block=9_999):
    """Of four stems and the mixture (5, C, L)."""
    with open_stems(FORMATS["stem.m4a"], [path], STEMS, 44_100, waveforms.shape[1]) as write:
        for part in waveforms.split(block, dim=-1):
            write(part)
    return path


def test_equal_stems_are_equal_files(tmp_path):
    """No time, no random number and no order of threads gets into a file, whatever its format."""
    files = {name: [] for name in FORMATS}
    for number in range(2):
        for name in ONE_STEM:
            path = tmp_path / f"{number}{FORMATS[name].suffix}"
            files[name].append(written(path, name, music(50_000)).read_bytes())
        path = tmp_path / f"{number}.stem.m4a"
        files["stem.m4a"].append(stem_file(path, music(50_000).expand(5, -1, -1)).read_bytes())
        time.sleep(1.0 * (number == 0))
    assert [name for name, (first, second) in files.items() if first != second] == []


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("length", [1, 960, 1_025, 20_003])
def test_a_click_stays_in_its_place(tmp_path, name, length):
    """What the encoder puts before and after the sound is taken away again."""
    click = torch.zeros(2, length)
    click[:, length // 3] = 0.9
    samples, audio = decoded(written(tmp_path / f"stem{FORMATS[name].suffix}", name, click))
    assert (samples.shape, audio.damage) == ((2, length), None)
    assert samples[0].abs().argmax() == length // 3
    assert audio.frames == length


@pytest.mark.parametrize("name", ["m4a", "opus"])
@pytest.mark.parametrize("channels", [1, 2])
def test_blocks_do_not_matter(tmp_path, name, channels):
    waveform = music(30_000, channels=channels)
    paths = [
        written(tmp_path / f"{block}{FORMATS[name].suffix}", name, waveform, block=block) for block in (77, 1 << 20)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    samples, audio = decoded(paths[0])
    assert audio.channels == channels
    assert snr_db(waveform, samples) > 25


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 32_000, 48_000, 96_000])
def test_aac_at_any_of_its_rates(tmp_path, rate_hz):
    path = written(tmp_path / "stem.m4a", "m4a", music(30_011, rate_hz), rate_hz)
    samples, audio = decoded(path)
    assert (audio.sample_rate_hz, samples.shape) == (rate_hz, (2, 30_011))


@pytest.mark.parametrize(("name", "rate_hz"), [("mp3", 96_000), ("ogg", 200_001), ("m4a", 192_000), ("flac", 700_000)])
def test_a_rate_that_a_format_cannot_hold(name, rate_hz):
    """Vorbis above 200 kHz ended the process with a segmentation fault."""
    FORMATS[name].check_rate(48_000, 2)
    with pytest.raises(UserError, match=f"{name} cannot hold {rate_hz} Hz: choose another `--format`"):
        FORMATS[name].check_rate(rate_hz, 2)


def test_opus_has_one_rate():
    assert [FORMATS["opus"].written_rate_hz(rate_hz) for rate_hz in (8_000, 44_100, 48_000)] == [48_000] * 3
    assert FORMATS["m4a"].written_rate_hz(44_100) == 44_100


# Bitrates


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("bitrate_kbps", [96, 256])
def test_bitrates_are_what_was_asked_for(tmp_path, name, bitrate_kbps):
    """Within a third: those of Vorbis, AAC and Opus are averages, and noise is the hardest of music."""
    waveform = noise(10 * 44_100, 1).expand(2, -1) * 0.4 + noise(10 * 44_100, 2, seed=1) * 0.4
    path = written(tmp_path / f"stem{FORMATS[name].suffix}", name, waveform, 48_000, 1 << 18, bitrate_kbps)
    assert path.stat().st_size * 8 / 1000 / (441_000 / 48_000) == pytest.approx(bitrate_kbps, rel=0.33)


@pytest.mark.parametrize(
    ("name", "bitrate_kbps", "line"),
    [
        ("mp3", 63, r"`--bitrate` \(=63\) must lie in 64 … 320 kbit/s for mp3"),
        ("ogg", 501, r"`--bitrate` \(=501\) must lie in 64 … 500 kbit/s for ogg"),
        ("opus", 0, r"`--bitrate` \(=0\) must lie in 16 … 510 kbit/s for opus"),
        ("stem.m4a", 999, r"must lie in 32 … 320 kbit/s for stem.m4a"),
        ("wav16", 128, r"`--bitrate` is for mp3, ogg, m4a and opus: wav loses nothing"),
    ],
)
def test_a_bitrate_that_a_format_does_not_have(name, bitrate_kbps, line):
    with pytest.raises(UserError, match=line):
        FORMATS[name].check_bitrate(bitrate_kbps)


@pytest.mark.parametrize("name", LOSSY)
@pytest.mark.parametrize("channels", [1, 2])
def test_the_least_and_the_most_can_be_written(tmp_path, name, channels):
    for bitrate_kbps in FORMATS[name].encoder.bitrates_kbps:
        path = tmp_path / f"{bitrate_kbps}{FORMATS[name].suffix}"
        written(path, name, music(10_000, channels=channels), bitrate_kbps=bitrate_kbps)
        assert decoded(path)[0].shape == (channels, 10_000)


# One file for all stems


def test_a_stem_file_holds_the_mixture_and_four_stems(tmp_path):
    shares = dict(zip((*STEMS, "mixture"), (0.1, 0.2, 0.3, 0.4, 1.0), strict=True))
    path = stem_file(tmp_path / "song.stem.m4a", torch.stack([share * music(50_001) for share in shares.values()]))
    with open_streams(path) as readers:
        streams = [torch.cat(list(reader.blocks(10_000)), dim=-1) for reader in readers]
    for name, stream in zip(("mixture", "drums", "bass", "other", "vocals"), streams, strict=True):
        assert stream.shape == (2, 50_001)
        assert snr_db(shares[name] * music(50_001), stream) > 30
    assert torch.equal(decoded(path)[0], streams[0])


def test_a_stem_file_tells_players_what_its_streams_are(tmp_path):
    path = stem_file(tmp_path / "song.stem.m4a", torch.zeros(5, 2, 5_000))
    write_tags(path, Tags({"title": "Song"}))
    with path.open("rb") as file:
        found, content = Atoms(file).path(b"moov", b"udta", b"stem")[-1].read(file)
    assert found
    told = json.loads(content)
    assert told["version"] == 1
    assert [stem["name"] for stem in told["stems"]] == ["Drums", "Bass", "Other", "Vocals"]
    assert not told["mastering_dsp"]["compressor"]["enabled"]
    assert not told["mastering_dsp"]["limiter"]["enabled"]
    assert read_tags(path).texts["title"] == "Song"


# Tags

JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00" + bytes(200) + b"\xff\xd9"
TEXTS = {"title": "Für Elise", "artist": "Ludwig", "album": "Bagatellen", "date": "1810", "track": "3/12"}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("cover", [None, JPEG])
def test_tags_and_cover_come_back_and_the_sound_stays(tmp_path, name, cover):
    path = tmp_path / f"stem{FORMATS[name].suffix}"
    if name == "stem.m4a":
        stem_file(path, music(20_003).expand(5, -1, -1))
    else:
        written(path, name, music(20_003))
    sound, _ = decoded(path)
    assert read_tags(path) == Tags({})
    write_tags(path, Tags(TEXTS, cover))
    assert read_tags(path) == Tags(TEXTS, cover)
    again, audio = decoded(path)
    assert torch.equal(again, sound)
    assert audio.damage is None


def test_the_title_gets_the_name_of_the_stem():
    assert Tags(TEXTS).of_stem("vocals").texts == TEXTS | {"title": "Für Elise (vocals)"}
    assert Tags(TEXTS).of_stem("").texts == TEXTS
    assert Tags({"artist": "Ludwig"}).of_stem("vocals").texts == {"artist": "Ludwig"}


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mkv", "flac"), (".wma", "wmav2"), (".avi", "pcm_s16le"), (".mp4", "aac")]
)
def test_tags_of_other_containers(tmp_path, suffix, codec):
    path = encode(tmp_path / f"song{suffix}", codec, tags={"title": "Für Elise", "artist": "Ludwig"})
    assert {**read_tags(path).texts} == {"title": "Für Elise", "artist": "Ludwig"}


def test_old_tags_are_latin_1(tmp_path):
    path = encode(tmp_path / "song.mp3", "libmp3lame", options={"id3v2_version": "0"})
    path.write_bytes(path.read_bytes() + b"TAG" + "Für Elise".encode("latin-1").ljust(125, b"\0"))
    assert read_tags(path).texts["title"] == "Für Elise"


def test_tags_that_no_format_foresees(tmp_path):
    odd = {"title": "a\nb = c", "date": "last summer", "track": "A1"}
    for name in ONE_STEM:
        path = written(tmp_path / f"{name}{FORMATS[name].suffix}", name, music(5_000))
        write_tags(path, Tags(odd))
        assert read_tags(path).texts["title"] == odd["title"], name


def test_files_without_tags_stay_as_they_are(tmp_path):
    path = written(tmp_path / "stem.wav", "wav32f", music(100))
    content = path.read_bytes()
    write_tags(path, read_tags(write_song(tmp_path / "song.au", music(100))))
    assert path.read_bytes() == content


def test_stems_of_many_hours_stay_without_tags(tmp_path):
    """They are RF64, which has no place for them that others read."""
    path = tmp_path / "stem.wav"
    with FORMATS["wav32f"].open(path, 44_100, 2, frames=4 * 3600 * 44_100) as write:
        write(music(100))
    content = path.read_bytes()
    write_tags(path, Tags(TEXTS))
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["wav32f", "m4a"])
def test_an_error_while_writing_is_the_error_that_is_told(tmp_path, name):
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(UserError, match="the song ends"))
        write = stack.enter_context(FORMATS[name].open(tmp_path / f"stem{FORMATS[name].suffix}", 44_100, 2))
        write(music(3_000))
        raise UserError("the song ends")


@pytest.mark.parametrize("name", ["m4a", "opus"])
def test_a_full_disk_is_told(tmp_path, name):
    """No file may grow beyond 50 kB; what cannot be written is no song."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, hard))
    try:
        with pytest.raises((OSError, UserError), match="File too large"):
            written(tmp_path / f"stem{FORMATS[name].suffix}", name, noise(200_000), block=50_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
