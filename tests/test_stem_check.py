"""Stems that a model doubts are listed, those that it does not are not, and no file is touched."""

import csv
import hashlib
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import prepare_dataset
from demixer import Separator
from demixer.data.activity import load_detector
from demixer.datasets.track_files import Track
from demixer.datasets.tracks import find_tracks
from demixer.errors import UserError
from demixer.evaluation.stem_check import Finding, check_stems, heard_in, judge
from demixer.sources import SOURCES

RATE_HZ = 44100


def stripes(mixture: torch.Tensor) -> torch.Tensor:
    """(B, C, L) → (B, S, C, L): what separates the songs of ``comb_musdb`` by their frequencies."""
    spectrum = torch.fft.rfft(mixture)
    frequency_hz = torch.fft.rfftfreq(mixture.shape[-1], 1 / RATE_HZ)
    stripe = torch.floor(4 * torch.log2(frequency_hz.clamp_min(1) / 50)) % 4
    parts = [torch.fft.irfft(spectrum * (stripe == i), mixture.shape[-1]) for i in range(len(SOURCES))]
    return torch.stack(parts, dim=1)


@pytest.fixture
def separator() -> Separator:
    return Separator(stripes, SOURCES, RATE_HZ)


@pytest.fixture
def songs(comb_musdb: Path, tmp_path: Path) -> Path:
    """Two stems of Amber have changed places, the bass is heard in Birch's vocals, Cedar's drums are silent."""
    root = tmp_path / "songs"
    shutil.copytree(comb_musdb, root)
    amber, birch, cedar = (root / "train" / name for name in ("Amber", "Birch", "Cedar"))
    (amber / "vocals.wav").rename(amber / "aside.wav")
    (amber / "drums.wav").rename(amber / "vocals.wav")
    (amber / "aside.wav").rename(amber / "drums.wav")
    vocals, bass = (soundfile.read(birch / f"{stem}.wav")[0] for stem in ("vocals", "bass"))
    bleeding = 0.5 * bass * np.sqrt(np.square(vocals).mean() / np.square(bass).mean())
    soundfile.write(birch / "vocals.wav", vocals + bleeding, RATE_HZ)
    soundfile.write(cedar / "drums.wav", np.zeros_like(vocals), RATE_HZ)
    return root


EXPECTED = [
    ("Amber", "vocals", "swapped", "drums"),
    ("Amber", "drums", "swapped", "vocals"),
    ("Birch", "vocals", "bleeding", "bass"),
    ("Cedar", "drums", "silent", ""),
]


def test_each_kind_is_found_and_a_clean_song_is_not(songs: Path, separator: Separator) -> None:
    tracks = find_tracks(songs, subset="train")
    findings = check_stems(separator, tracks, SOURCES, load_detector("default"))
    assert [(one.song, one.stem, one.finding, one.heard) for one in findings] == EXPECTED
    swapped, _, bleeding, silent = findings
    assert swapped.share_db == pytest.approx(0, abs=0.2)
    assert bleeding.share_db == pytest.approx(10 * math.log10(0.25 / 1.25), abs=0.2)
    assert math.isnan(silent.share_db)
    assert swapped == Finding("Amber", "vocals", "swapped", "drums", swapped.share_db, tracks[0].paths["vocals"])


def test_the_script_lists_them_and_touches_nothing(
    songs: Path, separator: Separator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def sums() -> dict[Path, str]:
        return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in songs.rglob("*") if file.is_file()}

    before = sums()
    monkeypatch.setattr(Separator, "from_pretrained", lambda model, device: separator)
    monkeypatch.setenv("COLUMNS", "200")
    arguments = ["prepare_dataset.py", "--check", "MODEL", "-i", str(songs), "-o", str(tmp_path / "out")]
    monkeypatch.setattr("sys.argv", arguments)
    prepare_dataset.main()
    assert sums() == before
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["check.csv"]
    with (tmp_path / "out" / "check.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["song"], row["stem"], row["finding"], row["heard"]) for row in rows] == EXPECTED
    assert [row["share_db"] for row in rows][2:] == ["-7.0", ""]
    assert Path(rows[2]["files"]) == songs / "train" / "Birch" / "vocals.wav"
    shown = capsys.readouterr().out
    assert "4 of 16 stems are doubted" in shown
    assert "stems that MODEL doubts" in shown
    monkeypatch.setattr("sys.argv", [*arguments, "--split", "valid", "-t", "bass"])
    prepare_dataset.main()
    assert "0 of 1 stems are doubted" in capsys.readouterr().out


def test_shares_are_the_same_at_another_rate_and_in_any_length(
    comb_musdb: Path, separator: Separator, tmp_path: Path
) -> None:
    song = comb_musdb / "train" / "Amber" / "bass.wav"
    samples, _ = soundfile.read(song)
    resampled, long = tmp_path / "48k.wav", tmp_path / "long.wav"
    low = np.fft.irfft(np.fft.rfft(samples, axis=0), len(samples) * 480 // 441, axis=0) * 480 / 441
    soundfile.write(resampled, low, 48000)
    soundfile.write(long, np.tile(samples, (5, 1)), RATE_HZ)
    for file in (song, resampled, long):
        header = soundfile.info(str(file))
        shares = heard_in(separator, Track("", {"bass": (file,)}, header.frames, header.samplerate), "bass")
        assert tuple(shares) == SOURCES
        assert shares["bass"] == pytest.approx(1, abs=0.02)
        assert sum(shares.values()) == pytest.approx(1, abs=0.03)


def test_the_shipped_model_hears_a_swapped_pair(musdb_hq: Path, tmp_path: Path) -> None:
    song = next(iter(sorted((musdb_hq / "train").iterdir())))
    for stem, file in {"drums": "bass", "bass": "drums"}.items():
        (tmp_path / "songs" / "Swapped").mkdir(parents=True, exist_ok=True)
        shutil.copy(song / f"{file}.wav", tmp_path / "songs" / "Swapped" / f"{stem}.wav")
    separator = Separator.from_pretrained("musdb18-7s", "cpu")
    findings = check_stems(separator, find_tracks(tmp_path / "songs"), SOURCES, load_detector("default"))
    assert [(one.stem, one.finding, one.heard) for one in findings] == [
        ("drums", "swapped", "bass"),
        ("bass", "swapped", "drums"),
    ]


def test_a_stem_that_the_model_has_no_target_for_counts_as_other() -> None:
    assert judge("guitar", {"vocals": 0.01, "other": 0.9}) == []
    assert judge("guitar", {"vocals": 0.9, "other": 0.05})[0][:2] == ("swapped", "vocals")


def test_a_model_of_one_target_looks_for_it_in_the_others() -> None:
    assert judge("vocals", {"vocals": 0.2}) == []
    assert judge("drums", {"vocals": 0.05}) == []
    assert judge("drums", {"vocals": 0.2})[0][:2] == ("bleeding", "vocals")
    assert judge("drums", {"vocals": 0.9})[0][:2] == ("swapped", "vocals")


def test_several_targets_may_bleed_into_one_stem() -> None:
    found = judge("other", {"vocals": 0.2, "drums": 0.3, "bass": 0.0, "other": 0.5})
    assert [one[:2] for one in found] == [("bleeding", "drums"), ("bleeding", "vocals")]
    found = judge("other", {"vocals": 0.2, "drums": 0.7, "bass": 0.0, "other": 0.1})
    assert [one[:2] for one in found] == [("swapped", "drums"), ("bleeding", "vocals")]


def test_a_broken_model_is_said_to_be_one(comb_musdb: Path) -> None:
    broken = Separator(lambda mixture: mixture.unsqueeze(1) * math.nan, ["vocals"], RATE_HZ)
    with pytest.raises(UserError, match="`bass` of `Amber` is not finite: its weights are broken"):
        heard_in(broken, find_tracks(comb_musdb, subset="train")[0], "bass")


def test_a_model_that_is_not_there_is_one_line(musdb_hq: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["prepare_dataset.py", "--check", str(tmp_path / "no"), "-i", str(musdb_hq), "-o", str(tmp_path / "o")]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(UserError, match="no"):
        prepare_dataset.main()
    assert not (tmp_path / "o").exists()
