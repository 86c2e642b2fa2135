"""Songs are found in any folder, bad files are all named at once, and a song's split never changes."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from demixer.data.index import Index, Segment, covered_samples, read_index, write_index
from demixer.datasets.splits import MUSDB_VALIDATION_SONGS
from demixer.datasets.track_files import Track, read_source, same_length
from demixer.datasets.tracks import find_tracks, split_tracks
from demixer.errors import UserError


def write_stem(path: Path, frames: int = 1000, rate: int = 44_100, channels: int = 2) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros((frames, channels)), rate)
    return path


def track(name: str) -> Track:
    return Track(name, {}, 1, 44_100)


def test_finds_wav_and_flac_in_several_roots_with_missing_and_own_sources(tmp_path):
    write_stem(tmp_path / "one/train/B/vocals.wav")
    write_stem(tmp_path / "one/train/B/guitar.wav")
    write_stem(tmp_path / "one/test/T/vocals.wav")
    write_stem(tmp_path / "two/Artist/A/guitar.flac", frames=500, rate=48_000)
    write_stem(tmp_path / "two/.hidden.part/H/vocals.wav")
    write_stem(tmp_path / "two/notes/kazoo.wav")
    found = find_tracks([tmp_path / "one", tmp_path / "two"], ("vocals", "guitar"), "train")
    assert found == [
        Track("Artist/A", {"guitar": (tmp_path / "two/Artist/A/guitar.flac",)}, 500, 48_000, root=1),
        Track("B", {s: (tmp_path / f"one/train/B/{s}.wav",) for s in ("vocals", "guitar")}, 1000, 44_100),
    ]
    assert list(found[1].paths) == ["vocals", "guitar"]  # in the order asked for
    assert [t.name for t in find_tracks(str(tmp_path / "one"), ("vocals",), "test")] == ["T"]
    assert [t.name for t in find_tracks(tmp_path / "one", ("vocals",))] == ["test/T", "train/B"]


def test_wav_goes_before_flac_of_the_same_source(tmp_path):
    for suffix in ("flac", "wav"):
        write_stem(tmp_path / f"song/vocals.{suffix}")
    assert find_tracks(tmp_path)[0].paths == {"vocals": (tmp_path / "song/vocals.wav",)}


@pytest.mark.parametrize(("name", "subset"), [("test", "test"), ("train", "train"), ("mine", "train")])
def test_a_root_without_subset_folders_belongs_to_one_subset_only(tmp_path, name, subset):
    write_stem(tmp_path / name / "song/vocals.wav")
    other = {"test": "train", "train": "test"}[subset]
    assert [t.name for t in find_tracks(tmp_path / name, subset=subset)] == ["song"]
    with pytest.raises(UserError, match=f"no songs in .*{name}.*subset `{other}`.*vocals.wav"):
        find_tracks(tmp_path / name, subset=other)


def test_every_bad_file_is_named_with_its_reason_in_one_error(tmp_path):
    for song in "abcde":
        for source in ("vocals", "drums", "bass"):
            write_stem(tmp_path / song / f"{source}.wav")
    bad = {
        write_stem(tmp_path / "a/drums.wav", frames=5411): "has 5411 frames at 44100 Hz, its siblings 1000 at 44100 Hz",
        write_stem(tmp_path / "b/vocals.wav", rate=48_000): "has 1000 frames at 48000 Hz, its siblings 1000 at 44100",
        write_stem(tmp_path / "c/bass.wav", channels=3): "has 3 channels, not 1 or 2",
        write_stem(tmp_path / "d/drums.wav", frames=0): "is empty",
        tmp_path / "e/drums.wav": "cannot be read",
    }
    (tmp_path / "e/drums.wav").write_bytes(b"no audio")
    with pytest.raises(UserError, match=r"5 bad file\(s\)") as error:
        find_tracks(tmp_path)
    for path, reason in bad.items():
        assert error.match(f"`{path}`: {reason}")
    assert str(error.value).count(".wav`") == 5


def test_mono_and_slightly_short_files_are_made_fit_with_a_line_each(tmp_path, caplog):
    rng = np.random.default_rng(0)
    stems = {
        "vocals": rng.uniform(-1, 1, (9000, 1)),
        "drums": rng.uniform(-1, 1, (8990, 2)),
        "bass": np.ones((8995, 2)),
    }
    for source, samples in stems.items():
        (tmp_path / "song").mkdir(exist_ok=True)
        soundfile.write(tmp_path / f"song/{source}.wav", samples, 44100, subtype="FLOAT")
    (track,) = find_tracks(tmp_path)
    assert caplog.messages == [
        f"1 mono file(s) are heard on both channels, the first is `{tmp_path / 'song/vocals.wav'}`",
        "2 file(s) end up to 10 samples before their song and are taken to end in silence, the first is "
        f"`{tmp_path / 'song/drums.wav'}`",
    ]
    assert track.frames == 9000
    vocals, drums, bass = (read_source(track, source).numpy() for source in ("vocals", "drums", "bass"))
    assert vocals == pytest.approx(np.tile(stems["vocals"].T, (2, 1)))
    assert drums[:, :8990] == pytest.approx(stems["drums"].T)
    assert not drums[:, 8990:].any()
    assert bass[:, 8990:8995] == pytest.approx(stems["bass"].T[:, 8990:])
    assert not bass[:, 8995:].any()
    assert read_source(track, "drums", 8985, 8995).numpy() == pytest.approx(drums[:, 8985:8995])
    assert not read_source(track, "drums", 8995, 9000).any()


@pytest.mark.parametrize(
    ("frames", "other", "same"),
    [(44100, 39690, True), (44100, 39689, False), (10**7, 99 * 10**5, True), (10**7, 98 * 10**5, False)],
)
def test_lengths_may_differ_by_a_tenth_of_a_second_or_a_hundredth(frames, other, same):
    assert same_length(frames, other, 44100) == same_length(other, frames, 44100) == same


def test_mistakes_in_naming_are_refused(tmp_path):
    write_stem(tmp_path / "one/song/vocals.wav")
    write_stem(tmp_path / "two/song/vocals.wav")
    with pytest.raises(UserError, match=r"two songs are named `song`.*one/song.*two/song"):
        find_tracks([tmp_path / "one", tmp_path / "two"])
    with pytest.raises(UserError, match="nowhere` does not exist"):
        find_tracks(tmp_path / "nowhere")
    with pytest.raises(UserError, match="subset `valid` is neither"):
        find_tracks(tmp_path / "one", subset="valid")
    with pytest.raises(UserError, match="split `test` is none of"):
        split_tracks([track("a")], "test")


def test_musdb_split_is_the_official_one_wherever_its_songs_are():
    tracks = [track(name) for name in (*sorted(MUSDB_VALIDATION_SONGS)[:3], "ANiMAL - Clinic A", "my song")]
    assert len(MUSDB_VALIDATION_SONGS) == 14
    assert split_tracks(tracks, "valid") == tracks[:3]
    assert split_tracks(tracks, "train") == tracks[3:]


def test_other_songs_are_split_by_name_alone():
    tracks = [track(f"song {i}") for i in range(1000)]
    valid = split_tracks(tracks, "valid")
    assert 70 < len(valid) < 130
    assert [t.name for t in valid[:3]] == ["song 30", "song 48", "song 76"]  # from now on, on every machine
    assert [t for t in split_tracks(tracks[:500], "valid", 0.1) if t not in valid] == []
    assert len(split_tracks(tracks, "train")) == 1000 - len(valid)
    assert split_tracks(tracks, "valid", ["song 7"]) == [tracks[7]]
    assert len(split_tracks([track("a"), track("b")], "valid")) == 1  # few songs: still one to validate on
    assert split_tracks([track("a")], "train") == [track("a")]
    assert split_tracks(tracks, "valid", 0) == []


def test_unknown_validation_songs_are_all_named_with_what_was_meant():
    tracks = [track(name) for name in ("Amber", "Birch", "Artist/Cedar")]
    with pytest.raises(UserError) as error:
        split_tracks(tracks, "valid", ["Amber", "brich", "Cedar", "Xylophone"])
    assert str(error.value) == (
        "`valid` names 3 song(s) that are not here: `Cedar` (did you mean `Artist/Cedar`?), `Xylophone`, "
        "`brich` (did you mean `Birch`?)"
    )
    assert split_tracks(tracks, "valid", "Amber") == tracks[:1]  # a name, not its letters
    assert split_tracks([track("17")], "valid", [17]) == [track("17")]  # as Hydra reads data.valid=[17]
    for fraction in (5, -0.1):
        with pytest.raises(UserError, match=rf"`valid` \(={fraction}\) must be .* a fraction in 0…1"):
            split_tracks(tracks, "valid", fraction)


def test_index_round_trip_and_its_exact_bytes(tmp_path):
    index = Index([Segment("Bjørk – Ä", 0, 6), Segment("b", 3, 9)], {"Bjørk – Ä": 7, "b": 9, "silent": 5})
    write_index(tmp_path / "new/vocals_train.txt", index)
    expected = "Bjørk – Ä\t0\t6\t7\nb\t3\t9\t9\nsilent\t0\t0\t5\n".encode()
    assert (tmp_path / "new/vocals_train.txt").read_bytes() == expected
    assert read_index(tmp_path / "new/vocals_train.txt") == index
    assert covered_samples([Segment("a", 0, 6), Segment("b", 0, 2), Segment("a", 3, 9), Segment("a", 4, 5)]) == 11


def test_an_index_of_three_columns_is_still_read(tmp_path):
    path = tmp_path / "vocals_train.txt"
    path.write_text("a\t0\t6\nb\t3\t9\n")
    assert read_index(path) == Index([Segment("a", 0, 6), Segment("b", 3, 9)], {})


@pytest.mark.parametrize(
    "line",
    ["song 0 5", "song\t5\t5", "song\t-1\t5", "song\t0\tx", "a\tb\t0\t5", "song\t0\t0", "a\t0\t5\t4", "a\t0\t5\t6\t7"],
)
def test_a_broken_index_line_is_named(tmp_path, line):
    path = tmp_path / "vocals_train.txt"
    path.write_text(f"fine\t0\t5\n{line}\n")
    with pytest.raises(UserError, match=r"vocals_train.txt:2: .* is not TRACKNAME"):
        read_index(path)


def test_index_that_cannot_be(tmp_path):
    with pytest.raises(UserError, match=r"none.txt` does not exist; .*prepare_dataset.py"):
        read_index(tmp_path / "none.txt")
    with pytest.raises(UserError, match="tab or a line break"):
        write_index(tmp_path / "x.txt", Index([Segment("a\tb", 0, 5)], {"a\tb": 5}))
    assert not (tmp_path / "x.txt").exists()
    (tmp_path / "two.txt").write_text("a\t0\t5\t9\na\t5\t8\t10\n")
    with pytest.raises(UserError, match=r"two.txt:2: `a` had 9 samples before"):
        read_index(tmp_path / "two.txt")


@pytest.mark.shared
def test_the_official_validation_songs_are_among_the_real_ones(shared_dir):
    names = {file.name for file in (shared_dir / "data/musdb18-7s/train").iterdir()}
    assert {f"{name}.stem.mp4" for name in MUSDB_VALIDATION_SONGS} <= names
