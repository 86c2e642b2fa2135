"""The detector's physics: tones in known places give exactly the known segments."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from demixer.data.activity import chunk_energies, load_detector, segment_bounds
from demixer.data.index import Segment
from demixer.datasets.track_files import Track
from demixer.errors import UserError

RATE = 1000  # Hz: a window of 6 s is 6000 samples, the hop 3000, a chunk 600


def song(tmp_path: Path, *parts: tuple[float, float], channels: tuple[int, int] = (1, 1)) -> Track:
    """A song of ``(seconds, amplitude)`` parts, a tone of 100 Hz in each; ``channels`` scales left and right."""
    amplitude = np.concatenate([np.full(round(seconds * RATE), level) for seconds, level in parts])
    tone = amplitude * np.sin(2 * np.pi * 100 * np.arange(len(amplitude)) / RATE + 0.3)
    path = tmp_path / "vocals.wav"
    soundfile.write(path, np.outer(tone, channels), RATE, subtype="FLOAT")
    return Track("song", {"vocals": (path,)}, len(tone), RATE)


def found(track: Track, **changes: float) -> list[tuple[int, int]]:
    detector = load_detector("default")
    for name, value in changes.items():
        object.__setattr__(detector, name, value)
    segments = detector(track, "vocals")
    assert all(segment == Segment("song", segment.start, segment.end) for segment in segments)
    return [(segment.start, segment.end) for segment in segments]


def test_the_default_is_the_papers():
    default = load_detector("default")
    assert (default.window_seconds, default.overlap, default.chunks) == (6, 0.5, 10)
    assert (default.quantile, default.threshold, default.silence, default.share) == (0.15, 1e-3, 1e-5, 0.5)


def test_a_tone_in_a_known_place_gives_the_segments_of_which_more_than_half_sounds(tmp_path):
    # 12 … 18 s of 30 s: (9, 15) and (15, 21) sound for exactly half of their chunks, which is not more than half
    assert found(song(tmp_path, (12, 0), (6, 0.5), (12, 0))) == [(12_000, 18_000)]
    # one chunk more on the left, and (9, 15) counts too
    assert found(song(tmp_path, (11.4, 0), (6.6, 0.5), (12, 0))) == [(9_000, 15_000), (12_000, 18_000)]


def test_the_tail_is_included_and_ends_where_the_song_ends(tmp_path):
    assert found(song(tmp_path, (7, 0), (6.7, 0.5))) == [(6_000, 12_000), (7_700, 13_700)]
    assert segment_bounds(13_700, 6000, 3000)[-2:] == [(6_000, 12_000), (7_700, 13_700)]
    assert segment_bounds(12_000, 6000, 3000) == [(0, 6_000), (3_000, 9_000), (6_000, 12_000)]  # nothing twice
    assert segment_bounds(6001, 6000, 3000) == [(0, 6000), (1, 6001)]


@pytest.mark.parametrize("seconds", [0.001, 2.5, 5.999, 6])
def test_a_song_no_longer_than_a_window_is_one_segment(tmp_path, seconds):
    assert found(song(tmp_path, (seconds, 0.9)), threshold=1e-4, share=0) == [(0, round(seconds * RATE))]


def test_short_song_is_still_judged(tmp_path):
    assert found(song(tmp_path, (3, 0))) == []
    assert found(song(tmp_path, (1.2, 0.5), (1.3, 0))) == []


def test_a_steady_sound_is_salient_from_end_to_end(tmp_path):
    assert found(song(tmp_path, (12, 0.5))) == [(0, 6_000), (3_000, 9_000), (6_000, 12_000)]


def test_the_quantile_is_taken_over_the_song_not_over_each_segment(tmp_path):
    # The last 6 s of 48 are 40 dB below the rest: 15 of the song's 150 chunks, so they lie under its 15 % quantile,
    # though they are steady, and a quantile of their own would pass them.
    assert found(song(tmp_path, (6, 0.005))) == [(0, 6_000)]
    track = song(tmp_path, (42, 0.5), (6, 0.005))
    assert found(track) == [(start, start + 6_000) for start in range(0, 36_001, 3_000)]
    assert found(track, quantile=0)[-1] == (42_000, 48_000)
    # In a song of 30 s they are 15 of 90 chunks, more than 15 %: the quantile is theirs, and they count.
    assert found(song(tmp_path, (24, 0.5), (6, 0.005)))[-1] == (24_000, 30_000)


def test_both_channels_count_and_one_suffices(tmp_path):
    loud = (6, 0.01)  # Σ x² of a chunk: 600 · 0.01² / 2 = 0.03 in a channel
    for channels in ((1, 1), (1, 0), (0, 1)):
        assert found(song(tmp_path, loud, channels=channels)) == [(0, 6_000)]
    quiet = song(tmp_path, (6, np.sqrt(2 * 0.6e-3 / 600)))  # 0.6e-3 in a channel: only together above 1e-3
    assert found(quiet) == [(0, 6_000)]
    assert found(song(tmp_path, (6, np.sqrt(2 * 0.6e-3 / 600)), channels=(1, 0))) == []


def test_the_threshold_is_an_energy_not_a_power_or_a_level(tmp_path):
    # RMS 1e-3 √0.5 and power 0.5e-6 are far below 1e-3; the energy of a chunk, 2 · 600 · 0.5e-6, is just below too
    assert found(song(tmp_path, (6, 0.00127))) == []
    assert found(song(tmp_path, (6, 0.00131))) == [(0, 6_000)]  # 2 · 600 · 0.00131² / 2 = 1.03e-3


def test_chunk_energies_are_sums_of_squares_over_all_samples():
    waveform = torch.stack([torch.full((7,), 2.0), torch.full((7,), 1.0)])
    assert chunk_energies(waveform, 3).tolist() == [15, 10, 10]
    assert chunk_energies(waveform[:, :1], 3).tolist() == [5, 0, 0]


def test_silence_is_counted_as_its_floor():
    detector = load_detector("default")
    energies = torch.zeros(2, 10)
    assert detector.salient(energies).tolist() == [False, False]
    energies[0, :6] = 1e-3
    assert detector.salient(energies).tolist() == [True, False]
    energies[0, 5] = 0
    assert detector.salient(energies).tolist() == [False, False]


def test_a_file_of_ones_own_and_the_mistakes_in_it(tmp_path):
    path = tmp_path / "sad.yaml"
    text = "{window_seconds: 2, overlap: 0.75, chunks: 4, quantile: 0, threshold: 1e-2, silence: 1e-5, share: 0.25}"
    path.write_text(text)
    assert load_detector(path).threshold == 0.01
    for old, new, match in (
        ("overlap: 0.75", "overlap: 1", r"`overlap` \(=1\) must be in \[0, 1\)"),
        ("quantile: 0,", "quantile: 15,", r"`quantile` \(=15\)"),
        ("chunks: 4", "chunks: 0", r"`chunks` \(=0\)"),
        ("overlap: 0.75", "overlop: 0.75", "must hold a number for each of .*overlap"),
        ("overlap: 0.75", "overlap: much", "must hold a number"),
        ("{", "[", "cannot be read"),
    ):
        path.write_text(text.replace(old, new))
        with pytest.raises(UserError, match=match):
            load_detector(path)
    with pytest.raises(UserError, match=r"`none` is neither a file nor one of conf/sad: .*default"):
        load_detector("none")
