"""Stems in memory: one copy for all training processes of a machine, of which one alone reads the files."""

import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

import demixer.data.stems
from demixer.data.datamodule import MusicDataModule
from demixer.data.preload import Held, SharedFile, hold
from demixer.data.stems import Stems
from demixer.datasets.tracks import find_tracks
from demixer.errors import UserError
from demixer.sources import SOURCES

VOCALS, BASS = ("a", "vocals"), ("a", "bass")
STEMS = [Held(VOCALS, 3, torch.int16), Held(BASS, 5, torch.float32), Held(("b", "bass"), 1, torch.int16)]


def load(key: tuple[str, str]) -> torch.Tensor:
    one = next(one for one in STEMS if one.key == key)
    return torch.arange(2 * one.frames).view(2, -1).to(one.dtype) + len(key[1])


def processes(function, count=2):
    """What ``function(rank, barrier)`` gives in each of some threads that stand for the processes of a machine."""
    barrier = threading.Barrier(count, timeout=60)
    with ThreadPoolExecutor(count) as pool:
        return [one.result() for one in [pool.submit(function, rank, barrier.wait) for rank in range(count)]]


def test_all_map_what_one_has_written_and_nothing_is_left(tmp_path):
    def refuse(key: tuple[str, str]) -> torch.Tensor:
        raise AssertionError(f"{key} is read twice")

    def share(rank, barrier):
        return hold(STEMS, refuse if rank else load, SharedFile(tmp_path / "stems", not rank, barrier))

    held = processes(share, 3)
    for one in held:
        assert {key: value.dtype for key, value in one.items()} == {stem.key: stem.dtype for stem in STEMS}
        assert all(value.equal(load(key)) for key, value in one.items())
    held[0][BASS][1, 2] = 99  # one copy: all see it
    assert [one[BASS][1, 2].item() for one in held] == [99, 99, 99]
    assert not list(tmp_path.iterdir())


def test_the_processes_of_a_machine_read_each_stem_once_and_train_on_the_same(musdb_hq, tmp_path, monkeypatch):
    reads: Counter[str] = Counter()
    read = demixer.data.stems.read_source

    def count(track, source, start, stop):
        reads[threading.current_thread().name] += 1
        return read(track, source, start, stop)

    monkeypatch.setattr(demixer.data.stems, "read_source", count)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def crops(rank, barrier):
        options = {"sad": False, "preload": True, "crop_seconds": 0.1, "num_workers": 0}
        module = MusicDataModule([musdb_hq], ["vocals"], **options)
        strategy = SimpleNamespace(broadcast=lambda name: "demixer-0.stems", barrier=barrier)
        module.trainer = SimpleNamespace(num_devices=2, local_rank=rank, strategy=strategy)
        module.setup("fit")
        before = reads[threading.current_thread().name]
        examples = torch.stack([module.train_set[index]["sources"] for index in range(8)])
        assert reads[threading.current_thread().name] == before  # nothing more from disk
        return before, examples

    (first, one), (second, two) = processes(crops)
    assert (first, second) == (4 * len(SOURCES), 0)
    assert one.equal(two)
    alone = MusicDataModule([musdb_hq], ["vocals"], sad=False, crop_seconds=0.1, num_workers=0)
    alone.setup("fit")
    assert one.equal(torch.stack([alone.train_set[index]["sources"] for index in range(8)]))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("devices", [1, None])
def test_one_process_keeps_its_stems_to_itself(musdb_hq, tmp_path, monkeypatch, devices):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    module = MusicDataModule([musdb_hq], ["vocals"], sad=False, preload=True, num_workers=0)
    module.trainer = SimpleNamespace(num_devices=devices) if devices else None
    module.setup("fit")
    assert len(module.train_set.stems._memory) == 4 * len(SOURCES)


def test_resampled_and_summed_stems_are_kept_as_they_are_read(musdb_hq, tmp_path):
    tracks = find_tracks(musdb_hq, subset="train")[:1]
    shared = SharedFile(tmp_path / "stems", True, lambda: None)
    disk, memory = Stems(tracks, SOURCES, 48000), Stems(tracks, SOURCES, 48000, True, shared)
    song = tracks[0].name
    for source in SOURCES:
        assert memory.read(song, source, 5000, 9000) == pytest.approx(disk.read(song, source, 5000, 9000), abs=1e-5)
        assert memory._memory[song, source].dtype == torch.float32


def test_no_room_and_no_common_folder_are_told(tmp_path):
    with pytest.raises(UserError, match=r"`preload` needs 0.0 GB in `.*nowhere` .*No such file.*: set TMPDIR"):
        hold(STEMS, load, SharedFile(tmp_path / "nowhere/stems", True, lambda: None))
    with pytest.raises(UserError, match="which not all processes see: set TMPDIR"):
        hold(STEMS, load, SharedFile(tmp_path / "elsewhere", False, lambda: None))
