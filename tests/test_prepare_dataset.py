"""The script from the command line to the index files, on WAV folders and on real .stem.mp4 files."""

import shutil
import subprocess
from pathlib import Path

import pytest
import soundfile

import prepare_dataset
from demixer.data.index import read_index
from demixer.data.stem_files import decode_stem_files, find_stem_files
from demixer.data.tracks import SOURCES, find_tracks, split_tracks
from demixer.errors import UserError


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


def test_a_file_that_ffmpeg_refuses_leaves_nothing_behind(tmp_path):
    if not shutil.which("ffmpeg"):
        pytest.skip("needs ffmpeg")
    broken = tmp_path / "in/song.stem.mp4"
    broken.parent.mkdir()
    broken.write_bytes(b"no audio")
    with pytest.raises(UserError, match=r"cannot decode .*song.stem.mp4`: ffmpeg says"):
        decode_stem_files(find_stem_files(tmp_path / "in", "train"), tmp_path / "wav", "train")
    assert not list((tmp_path / "wav/train").iterdir())


def test_without_ffmpeg_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="apt install ffmpeg"):
        decode_stem_files([Path("song.stem.mp4")], tmp_path / "wav", "train")


@pytest.mark.shared
def test_real_stem_files_are_decoded_once_and_as_musdb_does(prepare, shared_dir, tmp_path, capsys):
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
    assert {file.name for file in song.iterdir()} == {f"{s}.wav" for s in ("mixture", *SOURCES)}
    assert {soundfile.info(file).subtype for file in song.iterdir()} == {"PCM_16"}
    for number, stream in enumerate(("mixture", "drums", "bass", "other", "vocals")):  # musdb's stem_ids
        command = ["ffmpeg", "-v", "error", "-i", source / "train" / f"{names[0]}.stem.mp4"]
        pcm = subprocess.run([*command, "-map", f"0:{number}", "-f", "s16le", "-"], capture_output=True, check=True)
        assert soundfile.read(song / f"{stream}.wav", dtype="int16")[0].tobytes() == pcm.stdout

    shutil.rmtree(wav_dir / "train" / names[1])
    written = (song / "mixture.wav").stat().st_mtime_ns
    prepare("-i", source, "-o", tmp_path / "out")
    assert f"{wav_dir} (1 decoded now)" in capsys.readouterr().out
    assert (song / "mixture.wav").stat().st_mtime_ns == written
