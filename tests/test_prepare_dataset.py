"""The script from the command line to the index files, on WAV folders and on real .stem.mp4 files."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from test_audio import encode

import prepare_dataset
from demixer.data.index import read_index
from demixer.datasets.stem_files import STREAMS, decode_stem_files, read_stem_file
from demixer.datasets.tracks import find_tracks, split_tracks
from demixer.errors import UserError
from demixer.sources import SOURCES
from example.excerpt import excerpt_file


@pytest.fixture
def prepare(monkeypatch):
    def call(*arguments: object) -> None:
        monkeypatch.setattr("sys.argv", ["prepare_dataset.py", *map(str, arguments)])
        prepare_dataset.main()

    return call


def test_writes_one_index_for_each_target_and_split(prepare, musdb_hq, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("MUSDB_DIR", str(musdb_hq))
    prepare("-o", tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {f"{s}_{p}.txt" for s in SOURCES for p in ("train", "valid")}
    tracks = find_tracks(musdb_hq, subset="train")
    frames = {track.name: track.frames for track in tracks}
    for part in ("train", "valid"):
        segments = [segment for source in SOURCES for segment in read_index(tmp_path / f"{source}_{part}.txt").segments]
        assert {segment.track for segment in segments} <= {track.name for track in split_tracks(tracks, part)}
        assert segments
        assert all(segment.end <= frames[segment.track] for segment in segments)
    table = capsys.readouterr().out
    assert "salient share of duration" in table
    assert "vocals │ valid │ 2 of 2" in table


@pytest.mark.parametrize("style", ["_", "-"])
def test_both_spellings_of_every_long_option(prepare, musdb_hq, tmp_path, style):
    options = {"input_dir": musdb_hq, "output_dir": tmp_path / "out", "sad_cfg": "default", "wav_dir": tmp_path / "wav"}
    words = [word for name, value in options.items() for word in ("--" + name.replace("_", style), value)]
    prepare(*words, "--target", "bass", "drums", "--split", "valid")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"bass_valid.txt", "drums_valid.txt"}


@pytest.mark.parametrize("check", [[], ["--check", "musdb18-7s"]])
def test_only_the_subset_train_is_split(prepare, musdb_hq, tmp_path, check):
    with pytest.raises(UserError, match="--split valid divides the subset train, not test: leave one of them out"):
        prepare("-i", musdb_hq, "-o", tmp_path, "--subset", "test", "--split", "valid", *check)


def test_subset_test_is_one_index_of_all_its_songs(prepare, musdb_hq, tmp_path):
    prepare("-i", musdb_hq, "-o", tmp_path, "--subset", "test", "-t", "drums")
    assert [file.name for file in tmp_path.iterdir()] == ["drums_test.txt"]
    songs = {track.name for track in find_tracks(musdb_hq, subset="test")}
    assert {segment.track for segment in read_index(tmp_path / "drums_test.txt").segments} == songs


def test_a_detector_of_ones_own(prepare, musdb_hq, tmp_path):
    config = tmp_path / "mine.yaml"
    values = "{window_seconds: 0.5, overlap: 0, chunks: 1, quantile: 0, threshold: 1e-4, silence: 1e-5, share: 0}"
    config.write_text(values)
    prepare("-i", musdb_hq, "-o", tmp_path, "-t", "drums", "--sad_cfg", config)
    segments = read_index(tmp_path / "drums_train.txt").segments
    rates = {track.name: track.sample_rate_hz for track in find_tracks(musdb_hq, subset="train")}
    assert {segment.end - segment.start for segment in segments} == {rates[segments[0].track] // 2}


def test_a_songs_missing_source_is_passed_over_and_counted(prepare, musdb_hq, tmp_path, capsys):
    data = tmp_path / "data"
    songs = [track.paths["vocals"][0].parent for track in find_tracks(musdb_hq, subset="train")]
    for song in songs[:3]:
        shutil.copytree(song, data / song.name)
    (data / songs[0].name / "vocals.wav").rename(data / songs[0].name / "choir.wav")
    prepare("-i", data, "-o", tmp_path / "out", "-t", "vocals", "choir")
    indexed = {s.track for part in ("train", "valid") for s in read_index(tmp_path / f"out/vocals_{part}.txt").segments}
    assert indexed <= {song.name for song in songs[1:3]}
    assert "of 0" in capsys.readouterr().out  # the one choir is in one split, the other has none


def test_by_default_what_is_there_is_indexed(prepare, musdb_hq, tmp_path, capsys):
    drums_only = tmp_path / "drums"
    for track in find_tracks(musdb_hq, ["drums"], subset="train")[:2]:
        (drums_only / track.name).mkdir(parents=True)
        shutil.copy(track.paths["drums"][0], drums_only / track.name)
    prepare("-i", drums_only, "-o", tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"drums_train.txt", "drums_valid.txt"}
    assert "no song has vocals, bass, other: there is no index of it" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"target `bass` is in none of the 2 songs; they have drums"):
        prepare("-i", drums_only, "-o", tmp_path / "named", "-t", "drums", "bass")


def test_what_a_user_gets_wrong(prepare, musdb_hq, tmp_path, monkeypatch):
    monkeypatch.delenv("MUSDB_DIR", raising=False)
    with pytest.raises(UserError, match="give -i INPUT_DIR or set MUSDB_DIR"):
        prepare("-o", tmp_path)
    with pytest.raises(UserError, match="`nowhere` does not exist"):
        prepare("-i", "nowhere", "-o", tmp_path)
    with pytest.raises(UserError, match=r"target `vocal` is in none of the 6 songs; they have bass, drums"):
        prepare("-i", musdb_hq, "-o", tmp_path, "-t", "drums", "vocal")
    assert not list(tmp_path.iterdir())


def test_bad_data_stops_the_script_with_one_line_and_code_2(musdb_hq, tmp_path, run_script):
    data = tmp_path / "data"
    shutil.copytree(musdb_hq, data)
    bad = [track.paths["drums"][0] for track in find_tracks(data, subset="train")[:2]]
    for path in bad:
        path.write_bytes(b"no audio")
    result = run_script("prepare_dataset", "-i", data, "-o", tmp_path / "out")
    assert result.returncode == 2
    assert result.stderr.startswith("error: 2 bad file(s)")
    assert result.stderr.count("\n") == 1
    assert all(str(path) in result.stderr for path in bad)


# What the program ffmpeg 5.1 makes of two files (`-map 0:a:N -c:a pcm_s16le`): how many samples in 16 bit, the sum of
# their squares over both channels, and the samples 50,000, 100,000 … An FFmpeg of another version, or on a processor
# with other instructions, adds up its floats in another order and rounds one in some thousand samples to the next
# integer, so that a checksum would hold on one machine only.
FACTS = {
    "The Easton Ellises - Falcon 69": {
        "mixture": (268_288, 15427521761150, [2398, -4763, 317, 735, 1550, 2435, -2106, -8280, -11846, -10986]),
        "drums": (268_288, 4357600212878, [210, 212, 256, 310, -210, -544, -53, 231, -8262, -7708]),
        "bass": (268_288, 5196556520310, [3253, 3183, 1422, 118, 3429, 3091, -264, -1571, -3732, -2258]),
        "other": (268_288, 3423795364726, [285, -3987, -616, 926, -1111, -785, -1506, -3372, 2762, 385]),
        "vocals": (268_288, 2531244158974, [-1397, -4167, -563, -719, -30, -37, -330, -3373, -2326, -1183]),
    },
    "ANiMAL - Clinic A": {  # of the 7 s excerpts
        "mixture": (300_032, 17085782679990, [7831, 5286, 6161, 3837, -13071, -865, -1226, -4277, -925, 5521, -15, 2]),
        "drums": (300_032, 1443181062380, [243, -249, 2170, 1900, -3775, -4507, -477, -45, 584, 1735, -9, -10]),
        "bass": (300_032, 11364072854143, [5329, 4416, 3413, 1419, -3621, -2651, -4112, -5225, -615, 3089, 8, -13]),
        "other": (300_032, 1725758868526, [551, 397, 1003, 757, -1264, 1583, 569, -220, -2579, 810, 11, -15]),
        "vocals": (300_032, 2461031359499, [1702, 887, -170, 35, -4323, 4969, 2604, 948, 1279, -16, -3, -8]),
    },
}


def int16(file: Path) -> np.ndarray:
    """(L, C) as integers that do not overflow."""
    return soundfile.read(file, dtype="int16")[0].astype(int)


def assert_as_ffmpeg_decodes(song: Path) -> None:
    """The folder ``song`` holds what is known of the five streams of its file."""
    assert {file.name for file in song.iterdir()} == {f"{name}.wav" for name in STREAMS}
    assert {soundfile.info(file).subtype for file in song.iterdir()} == {"PCM_16"}
    for stream, (frames, squares, some) in FACTS[song.name].items():
        samples = int16(song / f"{stream}.wav")
        assert samples.shape == (frames, 2)
        assert np.square(samples).sum() == pytest.approx(squares, rel=1e-6)
        assert samples[50_000::50_000].ravel() == pytest.approx(some, abs=1)


def test_a_stem_file_as_the_ffmpeg_program_decoded_it(tmp_path):
    assert decode_stem_files([excerpt_file()], tmp_path, "test") == 1
    song = tmp_path / "test" / "The Easton Ellises - Falcon 69"
    assert_as_ffmpeg_decodes(song)
    streams, rate_hz = read_stem_file(excerpt_file())
    assert (tuple(streams), rate_hz) == (STREAMS, 44_100)
    for name, waveform in streams.items():
        assert np.abs(waveform.numpy().T.clip(-1, 1) * 2**15 - int16(song / f"{name}.wav")).max() <= 1


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="compares with the program ffmpeg, which is not installed")
def test_a_stem_file_as_the_ffmpeg_program_here_decodes_it(tmp_path):
    decode_stem_files([excerpt_file()], tmp_path, "test")
    for number, stream in enumerate(STREAMS):
        command = ["ffmpeg", "-v", "error", "-i", excerpt_file(), "-map", f"0:a:{number}", "-f", "s16le", "-"]
        theirs = np.frombuffer(subprocess.run(command, capture_output=True, check=True).stdout, "<i2").reshape(-1, 2)
        ours = int16(tmp_path / "test" / "The Easton Ellises - Falcon 69" / f"{stream}.wav")
        assert ours.shape == theirs.shape
        assert np.abs(ours - theirs).max() <= 1
        assert (ours != theirs).mean() < 1e-3


DAMAGES = {
    "no audio": lambda content, middle: b"no audio",
    "cut": lambda content, middle: content[:middle],
    "overwritten": lambda content, middle: content[:middle] + bytes(30_000) + content[middle + 30_000 :],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_named_and_leaves_nothing_behind(prepare, tmp_path, damage):
    content = excerpt_file().read_bytes()
    broken = tmp_path / "in/song.stem.mp4"
    broken.parent.mkdir()
    broken.write_bytes(damage(content, len(content) // 2))
    reason = r"it is (no audio, or damaged|damaged \((Invalid data|its header tells of 6.1 s))"
    with pytest.raises(UserError, match=rf"cannot decode `{broken}`: {reason}[^\n]*$"):
        prepare("-i", tmp_path / "in", "-o", tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").rglob("*")} <= {"in-wav", "train"}


def test_a_file_of_other_streams_than_musdb18_s_is_refused(tmp_path):
    file = encode(tmp_path / "song.stem.mp4", "aac", streams=2)
    with pytest.raises(
        UserError, match=r"song.stem.mp4`: it has 2 audio stream\(s\), and one of MUSDB18 has five: mixt"
    ):
        decode_stem_files([file], tmp_path / "wav", "train")
    assert not (tmp_path / "wav").exists()


@pytest.mark.shared
def test_real_stem_files_are_decoded_once(prepare, shared_dir, tmp_path, capsys):
    names = ("ANiMAL - Clinic A", "ANiMAL - Rockshow")  # one of each split
    source = tmp_path / "musdb18"
    (source / "train").mkdir(parents=True)
    for name in names:
        file = f"{name}.stem.mp4"
        (source / "train" / file).symlink_to(shared_dir / "data/musdb18-7s/train" / file)
    prepare("-i", source, "-o", tmp_path / "out")
    wav_dir = tmp_path / "out/musdb18-wav"
    assert f"{wav_dir} (2 decoded now)" in capsys.readouterr().out
    assert [(s.start, s.end) for s in read_index(tmp_path / "out/vocals_valid.txt").segments] == [
        (0, 264_600),
        (35_432, 300_032),
    ]

    song = wav_dir / "train" / names[0]
    assert_as_ffmpeg_decodes(song)

    shutil.rmtree(wav_dir / "train" / names[1])
    written = (song / "mixture.wav").stat().st_mtime_ns
    prepare("-i", source, "-o", tmp_path / "out")
    assert f"{wav_dir} (1 decoded now)" in capsys.readouterr().out
    assert (song / "mixture.wav").stat().st_mtime_ns == written
