"""The band plays in tune, the example is what it says, and the tiny dataset is one that can be learned from."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from demixer.sources import SOURCES
from example import instruments as play
from example.compose import compose
from example.tiny_musdb import SONGS, render_song

EXAMPLE_DIR = Path(__file__).resolve().parents[1] / "example"
RATE_HZ = play.SAMPLE_RATE_HZ


@pytest.fixture(scope="module")
def stems():
    return compose()


def peak_hz(waveform, low_hz, high_hz):
    """The strongest frequency between two others, to 1 Hz."""
    level = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform)), RATE_HZ * 2))
    level[: 2 * low_hz] = level[2 * high_hz :] = 0
    return level.argmax() / 2


def test_example_file():
    song, rate_hz = soundfile.read(EXAMPLE_DIR / "example.mp3")
    assert rate_hz == 44_100
    assert song.shape[1] == 2
    assert 10 <= len(song) / rate_hz <= 20
    assert 0.5 < np.abs(song).max() < 1
    assert (EXAMPLE_DIR / "example.mp3").stat().st_size < 600_000
    assert np.corrcoef(song.T)[0, 1] < 0.98  # stereo, not twice the same


def test_example_file_is_what_compose_renders(stems):
    song, _ = soundfile.read(EXAMPLE_DIR / "example.mp3")
    mixture = sum(stems.values()).T
    assert len(song) == len(mixture)
    error = 10 * np.log10(np.sum((song - mixture) ** 2) / np.sum(mixture**2))
    assert error < -15  # the mp3 codec's own loss


def test_every_stem_sounds_and_is_stereo(stems):
    assert tuple(stems) == SOURCES
    levels_db = {name: 10 * np.log10(np.mean(stem**2)) for name, stem in stems.items()}
    assert max(levels_db.values()) - min(levels_db.values()) < 6
    assert all(stem.shape == (2, len(play.clock(17.1))) for stem in stems.values())
    assert all(np.abs(stem[:, -1]).max() < 1e-6 for stem in stems.values())  # it ends in silence


def test_command_writes_the_song_and_stems_that_sum_to_it(tmp_path, stems):
    command = [sys.executable, EXAMPLE_DIR / "compose.py", "-o", tmp_path / "song.mp3", "--stems", tmp_path / "stems"]
    subprocess.run(command, check=True, cwd=tmp_path, capture_output=True)
    read = {name: soundfile.read(tmp_path / "stems" / f"{name}.wav")[0] for name in ("mixture", *SOURCES)}
    assert np.array_equal(sum(read[name] for name in SOURCES), read["mixture"])
    assert np.abs(read["vocals"] - stems["vocals"].T).max() <= 0.5 / 2**15
    assert soundfile.info(tmp_path / "song.mp3").samplerate == RATE_HZ


@pytest.mark.parametrize("instrument", [play.bass, play.guitar, play.piano])
@pytest.mark.parametrize("pitch", [40, 57, 69])
def test_instruments_are_in_tune(instrument, pitch):
    expected_hz = play.hz(pitch)
    assert peak_hz(instrument(pitch, 1.0), int(expected_hz * 0.8), int(expected_hz * 1.25)) == pytest.approx(
        expected_hz, abs=1
    )


def test_voice_sings_the_pitch_and_its_vowels_differ():
    def sing(syllable):
        return play.voice([play.Sung(0, 1.2, 57, syllable)], 1.2, np.random.default_rng(0))[5000:45_000]

    assert peak_hz(sing("la"), 180, 260) == pytest.approx(220, abs=3)
    assert peak_hz(sing("la"), 500, 1300) == pytest.approx(880, abs=110)  # the harmonic nearest to the first formant
    assert peak_hz(sing("li"), 1300, 2400) == pytest.approx(1760, abs=110)  # the second formant


def test_saw_has_harmonics_that_fall_as_one_over_n_and_no_aliases():
    waveform = play.saw(np.full(RATE_HZ, 1000.0))
    level = np.abs(np.fft.rfft(waveform * np.hanning(RATE_HZ))) / RATE_HZ * 4
    assert level[1000] == pytest.approx(2 / np.pi, rel=0.01)
    assert level[3000] / level[1000] == pytest.approx(1 / 3, rel=0.05)
    between = [f for f in range(500, 10_000) if 3 < f % 1000 < 997]
    assert level[between].max() < 0.0015  # −52 dB below the fundamental


def test_tiny_dataset(musdb_hq):
    for subset, names in SONGS.items():
        for name in names:
            files = {s: soundfile.read(musdb_hq / subset / name / f"{s}.wav", dtype="int16") for s in SOURCES}
            mixture, rate_hz = soundfile.read(musdb_hq / subset / name / "mixture.wav", dtype="int16")
            assert rate_hz == 44_100
            assert 6 <= len(mixture) / rate_hz <= 8
            assert np.array_equal(sum(file[0].astype(int) for file in files.values()), mixture)
            assert np.abs(mixture.astype(int)).max() < 32_767


def test_tiny_songs_differ_but_are_the_same_every_time():
    first, again, other = render_song(3), render_song(3), render_song(4)
    assert all(np.array_equal(first[source], again[source]) for source in SOURCES)
    assert first["vocals"].shape != other["vocals"].shape


def test_sources_of_the_tiny_dataset_live_in_different_bands():
    stems = {source: stem[0] / 2**15 for source, stem in render_song(0).items()}
    power = {source: np.abs(np.fft.rfft(stem)) ** 2 for source, stem in stems.items()}
    frequency_hz = np.fft.rfftfreq(len(stems["bass"]), 1 / RATE_HZ)

    def share(source, low_hz, high_hz):
        return power[source][(frequency_hz >= low_hz) & (frequency_hz < high_hz)].sum() / power[source].sum()

    assert share("bass", 0, 250) > 0.6
    assert share("vocals", 250, 4000) > 0.8
    assert share("drums", 15_000, 20_000) > 0.005
    assert share("bass", 15_000, 20_000) < 1e-6
