"""MoisesDB, Slakh2100 and MedleyDB, in miniature, laid out as they are published: each file has a level of its own."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from tiny_runs import tiny_run

import demixer.datasets.track_files
import prepare_dataset
from demixer.data.datamodule import MusicDataModule
from demixer.data.index import read_index
from demixer.data.stems import Stems
from demixer.datasets.layouts.medleydb import _target
from demixer.datasets.splits import validation_names
from demixer.datasets.track_files import read_source
from demixer.datasets.tracks import find_tracks
from demixer.errors import UserError
from demixer.evaluation.scoring import songs_of
from demixer.sources import SOURCES

RATE_HZ = 8000
FINE = (*SOURCES, "guitar", "piano")


def write(path: Path, level: float, frames: int = 1600, channels: int = 2) -> None:
    """A file whose samples are all ``level``, to 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full((frames, channels), level), RATE_HZ, subtype="PCM_16")


def write_moisesdb(root: Path) -> None:
    songs = {
        "song-1": {
            "vocals": [0.01, 0.02],
            "drums": [0.04],
            "bass": [0.08],
            "guitar": [0.16, 0.32],
            "percussion": [0.2],
        },
        "song-2": {"vocals": [0.5], "piano": [0.25], "bowed_strings": [0.125]},
    }
    for song, stems in songs.items():
        folder = root / "moisesdb_v0.1" / song
        listed = []
        for stem, levels in stems.items():
            for number, level in enumerate(levels):
                write(folder / stem / f"{stem}-{number}.wav", level, frames=1600 - 400 * number)
            tracks = [{"id": f"{stem}-{n}", "trackType": "any", "extension": "wav"} for n in range(len(levels))]
            listed.append({"stemName": stem, "tracks": tracks})
        (folder / "data.json").write_text(json.dumps({"song": song, "artist": "Tiny Band", "stems": listed}))


def write_slakh2100(root: Path) -> None:
    stems = {
        "S00": {"inst_class": "Guitar", "is_drum": False, "audio_rendered": True, "plugin_name": "a.nkm"},
        "S01": {"inst_class": "Bass", "is_drum": False, "audio_rendered": True, "plugin_name": "b.nkm"},
        "S02": {"inst_class": "Drums", "is_drum": True, "audio_rendered": True, "plugin_name": "c.nkm"},
        "S03": {"inst_class": "Strings (continued)", "is_drum": False, "audio_rendered": True, "plugin_name": "d.nkm"},
        "S04": {"inst_class": "Piano", "is_drum": False, "audio_rendered": True, "plugin_name": "e.nkm"},
        "S05": {"inst_class": "Sound Effects", "is_drum": False, "audio_rendered": False, "plugin_name": "None"},
    }
    for song in ("train/Track00001", "train/Track00002", "validation/Track01501", "test/Track01876"):
        for number, level in zip(list(stems)[:5], (0.01, 0.02, 0.04, 0.08, 0.16), strict=True):
            write(root / song / "stems" / f"{number}.flac", level, channels=1)
        write(root / song / "mix.flac", 0.31, channels=1)
        (root / song / "metadata.yaml").write_text(yaml.safe_dump({"audio_dir": "stems", "stems": stems}))


def write_medleydb(root: Path) -> None:
    instruments = [
        "male singer",
        "drum set",
        "electric bass",
        "distorted electric guitar",
        "tack piano",
        "oud",
        "choir",
    ]
    for song, bleed in (("TinyBand_Amber", "no"), ("TinyBand_Birch", "no"), ("TinyBand_Live", "yes")):
        folder = root / "Audio" / song
        stems = {}
        for number, instrument in enumerate(instruments, 1):
            name = f"{song}_STEM_{number:02}.wav"
            write(folder / f"{song}_STEMS" / name, 0.005 * 2**number)
            stems[f"S{number:02}"] = {"component": "", "filename": name, "instrument": instrument}
        write(folder / f"{song}_MIX.wav", 0.9)
        values = {"has_bleed": bleed, "stem_dir": f"{song}_STEMS", "mix_filename": f"{song}_MIX.wav", "stems": stems}
        (folder / f"{song}_METADATA.yaml").write_text(yaml.safe_dump(values))


WRITERS = {"moisesdb": write_moisesdb, "slakh2100": write_slakh2100, "medleydb": write_medleydb}


@pytest.fixture(scope="module")
def datasets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    roots = {layout: tmp_path_factory.mktemp("published") / layout for layout in WRITERS}
    for layout, root in roots.items():
        WRITERS[layout](root)
    return roots


def levels(track, start: int = 0) -> dict[str, float]:
    """The level of each source of a song from ``start`` on, which all channels share."""
    found = {}
    for source in track.paths:
        audio = read_source(track, source, start, start + 100)
        assert audio.shape == (2, 100)
        assert audio.max() - audio.min() < 1e-6
        found[source] = round(audio.mean().item(), 3)
    return found


FOUR = {
    "moisesdb": {"vocals": 0.03, "drums": 0.04, "bass": 0.08, "other": 0.68},
    "slakh2100": {"drums": 0.04, "bass": 0.02, "other": 0.25},
    "medleydb": {"vocals": 0.65, "drums": 0.02, "bass": 0.04, "other": 0.56},
}
SIX = {
    "moisesdb": {"vocals": 0.03, "drums": 0.04, "bass": 0.08, "other": 0.2, "guitar": 0.48},
    "slakh2100": {"drums": 0.04, "bass": 0.02, "other": 0.08, "guitar": 0.01, "piano": 0.16},
    "medleydb": {"vocals": 0.65, "drums": 0.02, "bass": 0.04, "other": 0.32, "guitar": 0.08, "piano": 0.16},
}


@pytest.mark.parametrize("layout", WRITERS)
def test_a_target_is_the_sum_of_the_files_that_belong_to_it(datasets, layout):
    for sources, expected in ((SOURCES, FOUR), (FINE, SIX)):
        track = find_tracks(datasets[layout], sources, "train", layout)[0]
        assert levels(track) == expected[layout]
        assert list(track.paths) == [source for source in sources if source in expected[layout]]
    assert levels(find_tracks(datasets[layout], ["guitar"], "train", layout)[0]) == {"guitar": SIX[layout]["guitar"]}


def test_instruments_of_medleydb():
    names = ("female rapper", "tambourine", "double bass", "slide guitar", "electric piano", "oud", "vibraphone")
    targets = [_target({"instrument": name}) for name in names]
    assert targets == ["vocals", "drums", "bass", "guitar", "piano", "other", "other"]
    assert _target({"instrument": ["male singer", "choir"]}) == "vocals"
    assert _target({"instrument": ["male singer", "piano"]}) == "other"


def test_songs_subsets_and_what_is_validated_on(datasets, caplog):
    names = {layout: [t.name for t in find_tracks(root, SOURCES, "train", layout)] for layout, root in datasets.items()}
    assert names == {
        "moisesdb": ["moisesdb_v0.1/song-1", "moisesdb_v0.1/song-2"],
        "slakh2100": ["Track00001", "Track00002", "validation/Track01501"],
        "medleydb": ["Audio/TinyBand_Amber", "Audio/TinyBand_Birch"],
    }
    assert [t.name for t in find_tracks(datasets["slakh2100"], SOURCES, "test", "slakh2100")] == ["Track01876"]
    assert validation_names([*names["slakh2100"], "validation/Track01502"]) == {
        "validation/Track01501",
        "validation/Track01502",
    }
    assert "1 song(s) of" in caplog.text
    assert "bleed into each other" in caplog.text


def test_files_of_several_lengths_end_in_silence(datasets):
    track = find_tracks(datasets["moisesdb"], FINE, "train", "moisesdb")[0]
    assert track.frames == 1600
    assert levels(track, 1300) == {"vocals": 0.01, "drums": 0.04, "bass": 0.08, "other": 0.2, "guitar": 0.16}


def test_finding_reads_headers_only_and_a_crop_reads_itself_only(datasets, monkeypatch):
    asked = []
    read = demixer.datasets.track_files.read_audio

    def watch(path, start, frames):
        asked.append((path.name, start, frames))
        return read(path, start, frames)

    monkeypatch.setattr(demixer.datasets.track_files, "read_audio", watch)
    tracks = find_tracks(datasets["moisesdb"], SOURCES, "train", "moisesdb")
    assert not asked
    Stems(tracks, SOURCES, RATE_HZ).read(tracks[0].name, "vocals", 1150, 100)
    assert asked == [("vocals-0.wav", 1150, 100), ("vocals-1.wav", 1150, 50)]


@pytest.mark.parametrize("preload", [False, True])
def test_layouts_are_mixed_with_each_other_and_with_folders(datasets, musdb_hq, preload):
    roots = [musdb_hq, *datasets.values()]
    options = {"sad": False, "crop_seconds": 0.1, "sample_rate_hz": RATE_HZ, "num_workers": 0, "preload": preload}
    module = MusicDataModule(roots, ["vocals"], layout=["folders", *datasets], root_weights=[1, 1, 1, 1], **options)
    module.setup("fit")
    drawn = [module.train_set.crops(index)["drums"].segment.track for index in range(400)]
    roots_of = [module.train_set.stems.tracks[name].root for name in drawn]
    assert [roots_of.count(root) / 400 for root in range(4)] == pytest.approx([0.25] * 4, abs=0.065)
    index = next(i for i, name in enumerate(drawn) if name == "Track00001")
    assert module.train_set[index]["sources"][1] == pytest.approx(0.04, abs=1e-4)


def test_songs_that_another_root_holds_out_are_not_trained_on(datasets, tmp_path, caplog):
    for name, subset in (("Tiny Band - Amber", "test"), ("Tiny Band - Cedar", "train"), ("Track 00001", "test")):
        write(tmp_path / subset / name / "vocals.wav", 0.1)
    roots, layouts = [tmp_path, datasets["medleydb"], datasets["slakh2100"]], ["folders", "medleydb", "slakh2100"]
    options = {"sad": False, "sample_rate_hz": RATE_HZ, "num_workers": 0, "layout": layouts}
    for valid in ([], ["Tiny Band - Cedar"]):
        module = MusicDataModule(roots, ["vocals"], valid=valid, **options)
        module.setup("fit")
        trained_on = {name for name in module.train_set.stems.tracks if "Track" not in name}
        assert trained_on == {"Audio/TinyBand_Birch", "Tiny Band - Cedar"} - set(valid)
        assert "Track00001" in module.train_set.stems.tracks  # a name that says too little
    assert "1 song(s) are validated or tested on in another root" in caplog.text
    assert "`Audio/TinyBand_Amber`" in caplog.text
    module = MusicDataModule(
        roots[:2], ["vocals"], valid=["Audio/TinyBand_Birch"], **{**options, "layout": layouts[:2]}
    )
    write(tmp_path / "train/Tiny Band: Birch/vocals.wav", 0.1)
    module.setup("fit")
    assert set(module.train_set.stems.tracks) == {"Tiny Band - Cedar"}


def test_what_is_no_target_is_in_other(datasets):
    module = MusicDataModule(
        [datasets["medleydb"]], ["guitar"], layout="medleydb", sad=False, sample_rate_hz=RATE_HZ, num_workers=0
    )
    module.setup("fit")
    assert module.sources == (*SOURCES, "guitar")
    (song,) = (module.valid_set[index] for index in range(1))
    assert [round(source.mean().item(), 3) for source in song["sources"]] == [0.65, 0.02, 0.04, 0.48, 0.08]
    assert song["mixture"].mean().item() == pytest.approx(1.27, abs=1e-3)  # not the mastered one


@pytest.mark.parametrize("layout", WRITERS)
def test_prepare_indexes_and_train_follows(datasets, tmp_path, layout, monkeypatch):
    command = ["prepare_dataset.py", "-i", str(datasets[layout]), "-o", str(tmp_path / "index"), "--layout", layout]
    monkeypatch.setattr("sys.argv", command)
    prepare_dataset.main()
    index = read_index(tmp_path / "index/drums_train.txt")
    assert set(index.frames.values()) == {1600}
    assert [(one.start, one.end) for one in index.segments] == [(0, 1600)] * len(index.segments) != []
    data = [f"data.roots=[{datasets[layout]}]", f"data.layout={layout}", f"data.index_dir={tmp_path / 'index'}"]
    short = ["data.sad=true", "data.valid=[]", "data.samples_per_epoch=4", "data.batch_size=2", "trainer.max_epochs=1"]
    tiny_run(tmp_path / "run", "target=drums", "data.crop_seconds=0.5", *data, *short)
    assert (tmp_path / "run/weights/last.ckpt").is_file()


def test_a_run_is_evaluated_on_its_own_dataset(datasets, tmp_path):
    root = datasets["slakh2100"]
    (tmp_path / "hydra").mkdir()
    (tmp_path / "hydra/config.yaml").write_text(
        yaml.safe_dump({"data": {"roots": [str(root)], "layout": ["slakh2100"], "valid": None}})
    )
    assert [track.name for track in songs_of([root], "test", run_dir=tmp_path)] == ["Track01876"]
    assert [track.name for track in songs_of([root], "train", "valid", tmp_path)] == ["validation/Track01501"]


class TestMistakes:
    def test_a_file_that_is_missing_is_named(self, tmp_path):
        write_moisesdb(tmp_path)
        (tmp_path / "moisesdb_v0.1/song-1/vocals/vocals-1.wav").unlink()
        with pytest.raises(UserError, match=r"(?s)1 bad file.*vocals-1.wav`: cannot be read"):
            find_tracks(tmp_path, layout="moisesdb")

    @pytest.mark.parametrize("text", ["{", "[]", "{}", '{"stems": []}'])
    def test_metadata_that_is_none(self, tmp_path, text):
        write_moisesdb(tmp_path)
        (tmp_path / "moisesdb_v0.1/song-1/data.json").write_text(text)
        with pytest.raises(UserError, match=r"song-1/data.json` (cannot be read|describes no `stems`)"):
            find_tracks(tmp_path, layout="moisesdb")

    def test_another_layout(self, datasets):
        with pytest.raises(UserError, match=r"no songs in .*looked for vocals.*in the layout medleydb"):
            find_tracks(datasets["moisesdb"], layout="medleydb")

    @pytest.mark.parametrize("layout", ["musdb", ["moisesdb", "folders", "folders"], ["moisesdb", "x"]])
    def test_unknown_layouts(self, datasets, layout):
        with pytest.raises(UserError, match=r"`layout` .* must be one of folders, moisesdb.* each of the 2 root"):
            find_tracks([datasets["moisesdb"]] * 2, layout=layout)
