"""What an example is made of, and that it is nothing but a function of the seed and its number."""

import math
from fractions import Fraction

import numpy as np
import pytest
import soundfile
import torch

from demixer.audio import resample
from demixer.data.augmentations import Augmentations, Equaliser, Speed
from demixer.data.dataset import RemixDataset, SongDataset
from demixer.data.index import Segment
from demixer.data.pools import SegmentPool, salient_segments, whole_songs
from demixer.data.randomness import generator_for
from demixer.data.stems import DataError, Stems
from demixer.datasets.tracks import find_tracks
from demixer.errors import UserError

SOURCES = ("vocals", "drums")
CROP = 1000


def ramp(song, source, frames=8000):
    """A stem from whose samples one reads the song (left, in steps of 1/100) and the place (right)."""
    left = np.full(frames, (10 * song + source) / 100)
    return np.stack([left, np.arange(frames) / 2**15], axis=1)


@pytest.fixture
def folder(tmp_path):
    for song in range(5):
        (tmp_path / f"song{song}").mkdir()
        for number, source in enumerate(SOURCES):
            path = tmp_path / f"song{song}" / f"{source}.wav"
            soundfile.write(path, ramp(song, number), 44100, subtype="FLOAT")
    return tmp_path


def remix(folder, segments=None, crop_samples=CROP, preload=False, rate_hz=44100, **options):
    stems = Stems(find_tracks(folder, SOURCES), SOURCES, rate_hz, preload)
    pools = {source: whole_songs(stems, source) for source in SOURCES}
    if segments:
        pools = {source: SegmentPool(segments) for source in SOURCES}
    return RemixDataset(stems, pools, whole_songs(stems), crop_samples, 100, **options)


class TestRemix:
    def test_example_says_what_it_is(self, folder):
        example = remix(folder)[7]
        assert example["sources"].shape == (2, 2, CROP)
        assert example["sources"].dtype == torch.float32
        assert example["index"] == 7
        for row, (song, source) in enumerate(zip(example["songs"], example["sources"], strict=True)):
            assert source[0] == pytest.approx(torch.full((CROP,), (10 * int(song[-1]) + row) / 100))
            assert (source[1].diff() * 2**15).tolist() == pytest.approx([1.0] * (CROP - 1), abs=0.01)

    def test_pure_function_of_seed_and_index(self, folder):
        first = remix(folder, seed=3)
        for _ in range(3):
            first[0]  # other reads between
        again, other = remix(folder, seed=3), remix(folder, seed=4)
        for index in (0, 5, 10**9):
            assert first[index]["sources"].equal(again[index]["sources"])
            assert not first[index]["sources"].equal(other[index]["sources"])
        assert not first[0]["sources"].equal(first[1]["sources"])

    def test_sources_come_from_different_songs(self, folder):
        dataset = remix(folder)
        songs = [dataset[index]["songs"] for index in range(200)]
        assert all(len(set(pair)) == 2 for pair in songs)
        assert len({tuple(pair) for pair in songs}) == 20  # every ordered pair of five songs

    def test_one_song_only_still_works(self, folder):
        assert remix(folder, [Segment("song2", 0, 8000)])[0]["songs"] == ["song2", "song2"]

    def test_crops_lie_in_their_segments_and_fill_them(self, folder):
        dataset = remix(folder, [Segment("song1", 1000, 2500), Segment("song3", 4000, 6000)])
        crops = [crop for index in range(300) for crop in dataset.crops(index).values()]
        places = {song: [one.start for one in crops if one.segment.track == song] for song in ("song1", "song3")}
        assert (min(places["song1"]), max(places["song1"])) == (pytest.approx(1000, abs=8), pytest.approx(1500, abs=8))
        assert (min(places["song3"]), max(places["song3"])) == (
            pytest.approx(4000, abs=20),
            pytest.approx(5000, abs=20),
        )
        assert min(places["song1"] + places["song3"]) >= 1000
        assert max(places["song1"]) <= 1500
        assert max(places["song3"]) <= 5000

    def test_segments_are_drawn_uniformly_songs_by_duration(self):
        segments = [Segment("a", 0, 100), Segment("b", 0, 300)]
        for by_duration, share in ((False, 0.5), (True, 0.25)):
            pool = SegmentPool(segments, by_duration)
            drawn = [pool.draw(generator_for(0, index, "pool")).track for index in range(4000)]
            assert drawn.count("a") / 4000 == pytest.approx(share, abs=0.025)

    def test_segment_shorter_than_the_crop(self, folder):
        dataset = remix(folder, [Segment("song1", 7900, 8000)])
        assert {crop.start for crop in dataset.crops(0).values()} == {7000}  # reaches back rather than pad

    def test_song_shorter_than_the_crop_is_padded(self, folder):
        example = remix(folder, crop_samples=9000)[0]["sources"]
        assert example[0, 1, 7999] > 0.2
        assert example[:, :, 8000:].abs().max() == 0

    def test_not_remixed_is_one_song_at_one_place(self, folder):
        dataset = remix(folder, [Segment("song1", 0, 8000)], remix_probability=0.0)
        examples = [dataset[index] for index in range(50)]
        assert all(len(set(example["songs"])) == 1 for example in examples)
        assert all(example["sources"][0, 1].equal(example["sources"][1, 1]) for example in examples)
        assert {example["songs"][0] for example in examples} == {f"song{song}" for song in range(5)}  # no SAD here

    def test_remix_probability(self, folder):
        dataset = remix(folder, remix_probability=0.3)
        remixed = [len({crop.segment.track for crop in dataset.crops(index).values()}) == 2 for index in range(1000)]
        assert sum(remixed) / 1000 == pytest.approx(0.3, abs=0.05)

    def test_stem_augmentation_reads_what_it_needs(self, folder):
        dataset = remix(folder, augmentations=Augmentations(stem=[Speed(1.5, 1.5, probability=1)]))
        crop = dataset.crops(0)["vocals"]
        assert crop.length == 1500
        inner = dataset[0]["sources"][0, 1, 100:-100]
        assert (inner.diff() * 2**15).mean().item() == pytest.approx(1.5, rel=0.01)

    def test_not_remixed_sources_are_changed_alike(self, folder):
        stages = Augmentations(stem=[Speed(0.8, 1.2, probability=1), Equaliser(probability=0.5)])
        crops = remix(folder, augmentations=stages, remix_probability=0.0).crops(3)
        assert crops["vocals"] == crops["drums"]
        crops = remix(folder, augmentations=stages).crops(3)
        assert crops["vocals"].plan[0][1] != crops["drums"].plan[0][1]

    def test_source_missing_in_some_songs(self, folder):
        for song in range(4):
            (folder / f"song{song}" / "drums.wav").unlink()
        dataset = remix(folder)
        assert {dataset.crops(index)["drums"].segment.track for index in range(20)} == {"song4"}
        together = remix(folder, remix_probability=0.0)
        example = next(together[index] for index in range(50) if together[index]["songs"][0] == "song1")
        assert example["sources"][1].abs().max() == 0
        assert example["sources"][0, 0, 0] == pytest.approx(0.1)

    def test_source_missing_everywhere(self, folder):
        for song in range(5):
            (folder / f"song{song}" / "drums.wav").unlink()
        with pytest.raises(UserError, match="no training song has a segment of drums"):
            remix(folder)


class TestIndex:
    def pool(self, folder, training=5, rate_hz=44100):
        tracks = find_tracks(folder, SOURCES)
        stems = Stems(tracks[:training], SOURCES, rate_hz)
        return salient_segments(stems, "vocals", folder, {track.name: track for track in tracks})

    def test_segments_of_the_training_songs_whatever_part_they_were_written_for(self, folder, caplog):
        (folder / "vocals_train.txt").write_text("song1\t100\t4000\t8000\nsong3\t0\t8000\t8000\n")
        (folder / "vocals_valid.txt").write_text("song0\t0\t0\t8000\nsong2\t0\t700\t8000\nsong4\t0\t8000\t8000\n")
        assert self.pool(folder, 3, 22050).segments == [Segment("song1", 50, 2000), Segment("song2", 0, 350)]
        assert not caplog.records

    def test_training_songs_that_are_in_no_index_are_told(self, folder, caplog):
        (folder / "vocals_train.txt").write_text("song1\t100\t4000\t8000\nsong3\t0\t8000\t8000\n")
        self.pool(folder)
        (line,) = caplog.messages
        assert line.startswith("3 of the 5 training songs with vocals have no line in its index")
        assert "song0, song2, song4; run prepare_dataset.py" in line

    @pytest.mark.parametrize("part", ["train", "valid"])
    def test_index_of_another_dataset(self, folder, part):
        (folder / "vocals_train.txt").write_text("song0\t0\t4000\t8000\n")
        (folder / f"vocals_{part}.txt").write_text("stranger\t0\t4000\n")
        with pytest.raises(UserError, match=rf"vocals_{part}.txt` names the song `stranger`"):
            self.pool(folder)

    def test_index_of_songs_of_the_same_names_and_other_lengths(self, folder):
        song = r"`song1` of 2000 samples, in `roots` it has 8000: it belongs to another dataset; run prepare_dataset"
        (folder / "vocals_train.txt").write_text("song1\t0\t2000\t2000\n")
        with pytest.raises(UserError, match=rf"vocals_train.txt` was made of a song {song}"):
            self.pool(folder)
        (folder / "vocals_train.txt").write_text("song1\t0\t0\t2000\n")  # also where nothing sounds
        with pytest.raises(UserError, match=song):
            self.pool(folder)
        (folder / "vocals_train.txt").write_text("song1\t0\t4000\t8001\n")  # a stem may be a little longer
        assert len(self.pool(folder).segments) == 1

    def test_old_index_of_longer_songs(self, folder):
        (folder / "vocals_train.txt").write_text("song1\t0\t4000\nsong1\t4000\t24000\n")
        with pytest.raises(UserError, match=r"has segments in a song `song1` of 24000 samples, in `roots` it has 8000"):
            self.pool(folder)

    def test_old_index_of_shorter_songs_is_warned_of(self, folder, caplog):
        (folder / "vocals_train.txt").write_text("".join(f"song{song}\t0\t800\n" for song in range(5)))
        assert len(self.pool(folder).segments) == 5
        (line,) = caplog.messages
        assert "vocals_train.txt` ends 10.0 % into its songs" in line


class TestStems:
    @pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
    def test_memory_and_disk_are_the_same(self, tmp_path, subtype):
        (tmp_path / "song").mkdir()
        noise = np.random.default_rng(0).uniform(-1, 1, (5000, 2))
        soundfile.write(tmp_path / "song" / "vocals.wav", noise, 44100, subtype=subtype)
        tracks = find_tracks(tmp_path, ["vocals"])
        disk, memory = (Stems(tracks, ["vocals"], 44100, preload) for preload in (False, True))
        crop = disk.read("song", "vocals", 4500, 800)
        assert crop.equal(memory.read("song", "vocals", 4500, 800))
        assert crop[:, :500].numpy() == pytest.approx(noise[4500:].T, abs=2**-15)
        assert crop[:, 500:].abs().max() == 0
        (kept,) = memory._memory.values()
        assert kept.dtype == (torch.int16 if subtype == "PCM_16" else torch.float32)

    def test_changing_a_crop_leaves_the_memory_alone(self, folder):
        stems = Stems(find_tracks(folder, SOURCES), SOURCES, 44100, preload=True)
        stems.read("song1", "drums", 0, 100).zero_()
        assert stems.read("song1", "drums", 0, 100).abs().max() > 0

    @pytest.mark.parametrize(("file_hz", "rate_hz"), [(48000, 44100), (44100, 48000), (22050, 44100), (44100, 16000)])
    def test_resampled_crop_is_the_crop_of_the_resampled_song(self, tmp_path, file_hz, rate_hz):
        (tmp_path / "song").mkdir()
        noise = np.random.default_rng(0).uniform(-1, 1, (20_001, 2))
        soundfile.write(tmp_path / "song" / "vocals.wav", noise, file_hz, subtype="FLOAT")
        stems = Stems(find_tracks(tmp_path, ["vocals"]), ["vocals"], rate_hz)
        whole = resample(torch.from_numpy(noise.T.copy()).float(), file_hz, rate_hz)
        assert stems.frames("song") == whole.shape[-1] == math.ceil(20_001 * Fraction(rate_hz, file_hz))
        for start in (0, 1, 777, 5000, whole.shape[-1] - 300):
            crop = stems.read("song", "vocals", start, 500)
            expected = torch.nn.functional.pad(whole, (0, 500))[:, start : start + 500]
            assert crop == pytest.approx(expected, abs=1e-5)

    def test_vanished_and_shortened_files_are_named(self, folder):
        stems = Stems(find_tracks(folder, SOURCES), SOURCES, 44100)
        (folder / "song1" / "drums.wav").unlink()
        with pytest.raises(DataError, match=r"song1/drums.wav"):
            stems.read("song1", "drums", 0, 100)
        soundfile.write(folder / "song2" / "drums.wav", ramp(2, 1, 500), 44100)
        with pytest.raises(DataError, match=r"song2/drums.wav` ends at sample 500"):
            stems.read("song2", "drums", 400, 200)


class TestSongs:
    def test_whole_song_with_and_without_a_mixture_file(self, folder):
        soundfile.write(folder / "song0" / "mixture.wav", ramp(0, 7), 44100, subtype="FLOAT")
        songs = SongDataset(Stems(find_tracks(folder, (*SOURCES, "mixture")), SOURCES, 44100), SOURCES)
        assert len(songs) == 5
        assert songs[0]["song"] == "song0"
        assert songs[0]["mixture"][0, 0].item() == pytest.approx(0.07)
        assert songs[3]["sources"].shape == (2, 2, 8000)
        assert songs[3]["mixture"].equal(songs[3]["sources"].sum(0))

    def test_missing_source_is_silent(self, folder):
        (folder / "song3" / "drums.wav").unlink()
        songs = SongDataset(Stems(find_tracks(folder, SOURCES), SOURCES, 44100), SOURCES)
        assert songs[3]["sources"][1].abs().max() == 0
        assert songs[3]["mixture"].equal(songs[3]["sources"][0])
