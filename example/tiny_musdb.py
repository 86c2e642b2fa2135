"""A dataset in the shape of MUSDB18-HQ that is rendered in seconds: for the tests, and for the notebooks without it."""

from pathlib import Path

import numpy as np
import soundfile

from example import instruments as play
from example.instruments import SAMPLE_RATE_HZ, Sung, Waveform

SONGS = {
    "train": (
        "Actions - One Minute Smile",  # of MUSDB18's validation songs, as is the next
        "Triviul - Angelsaint",
        "Tiny Band - Amber",
        "Tiny Band - Birch",
        "Tiny Band - Cedar",
        "Tiny Band - Dune",
    ),
    "test": ("Tiny Band - Ember", "Tiny Band - Fjord"),
}


def write_tiny_musdb(root: Path) -> Path:
    """Write ``root/{train,test}/{song}/{mixture,vocals,drums,bass,other}.wav``: 6 to 8 s, stereo, 44.1 kHz, 16 bit.

    The mixture is the exact sum of its stems. The same files come out on every call.
    """
    numbered = enumerate((subset, name) for subset, names in SONGS.items() for name in names)
    for seed, (subset, name) in numbered:
        folder = root / subset / name
        folder.mkdir(parents=True)
        stems = render_song(seed)
        for source, samples in {"mixture": sum(stems.values()), **stems}.items():
            soundfile.write(folder / f"{source}.wav", samples.T, SAMPLE_RATE_HZ, subtype="PCM_16")
    return root


def render_song(seed: int) -> dict[str, np.ndarray]:
    """Stems (C, L) in 16 bit of a song of eight half bars; every source but the chords pauses for two or more.

    In every third song the voice enters with the second half, so that its first segment is not salient.
    """
    generator = np.random.default_rng(seed)
    beat_seconds = 0.38 + 0.015 * (seed % 8)
    seconds = 16 * beat_seconds
    key, chords = 45 + seed % 7, generator.permutation([0, 5, 7, -4, 3, 0, 5, 7])
    parts = {
        "vocals": _sing(key, chords, beat_seconds, generator, enters=4 if seed % 3 == 2 else 0),
        "drums": _drum(beat_seconds, generator),
        "bass": _bass(key, chords, beat_seconds, generator),
        "other": _chords(key, chords, beat_seconds),
    }
    length = round(seconds * SAMPLE_RATE_HZ)
    pans = {"vocals": 0.0, "drums": 0.1, "bass": 0.0, "other": 0.35 * (-1) ** seed}
    levels = {"vocals": 0.11, "drums": 0.08, "bass": 0.09, "other": 0.08}
    stems = {}
    for source, part in parts.items():
        part = part[:length] * levels[source] * generator.uniform(0.8, 1.25) / np.sqrt(np.mean(part**2))
        stems[source] = np.stack([part * (1 - pans[source]), part * (1 + pans[source])])
    loudest = np.abs(sum(stems.values())).max()
    return {source: np.round(stem * (29_000 / loudest)).astype(np.int16) for source, stem in stems.items()}


def _blank(beat_seconds: float) -> Waveform:
    return np.zeros(round((16 * beat_seconds + 2) * SAMPLE_RATE_HZ))


def _add(track: Waveform, at_seconds: float, sound: Waveform) -> None:
    begin = round(at_seconds * SAMPLE_RATE_HZ)
    track[begin : begin + len(sound)] += sound


def _sing(key: int, chords: np.ndarray, beat_seconds: float, generator: np.random.Generator, enters: int) -> Waveform:
    """A note on each beat from the half bar ``enters`` on, but for three half bars of silence somewhere."""
    pause = generator.integers(0, 6) if not enters else 0
    steps = generator.choice([0, 3, 5, 7], 16)
    melody = [
        Sung(beat_seconds * beat, 0.95 * beat_seconds, key + 19 + chords[beat // 2] % 12 + steps[beat], syllable)
        for beat, syllable in enumerate(["sa", "lo", "ti", "ne"] * 4)
        if beat // 2 >= enters and beat // 2 not in (pause, pause + 1, pause + 2)
    ]
    return play.voice(melody, 16 * beat_seconds + 2, generator)


def _drum(beat_seconds: float, generator: np.random.Generator) -> Waveform:
    track, pause = _blank(beat_seconds), generator.integers(0, 7)
    for eighth in range(32):
        if eighth // 4 in (pause, pause + 1):
            continue
        at = eighth * beat_seconds / 2
        _add(track, at, 0.5 * play.hat(generator, 0.09 if eighth % 8 == 7 else 0.035))
        if eighth % 4 == 0:
            _add(track, at, play.snare(generator) if eighth % 8 == 4 else play.kick())
    return track


def _bass(key: int, chords: np.ndarray, beat_seconds: float, generator: np.random.Generator) -> Waveform:
    track, pause = _blank(beat_seconds), generator.integers(0, 7)
    for half_bar, chord in enumerate(chords):
        if half_bar not in (pause, pause + 1):
            for beat, length in ((0, 1.4), (1.5, 0.5)):
                _add(track, (2 * half_bar + beat) * beat_seconds, play.bass(key - 12 + chord, length * beat_seconds))
    return track


def _chords(key: int, chords: np.ndarray, beat_seconds: float) -> Waveform:
    track = _blank(beat_seconds)
    for half_bar, chord in enumerate(chords):
        for index, interval in enumerate((12, 19, 24, 28)):
            at = 2 * half_bar * beat_seconds + 0.02 * index
            _add(track, at, play.guitar(key + chord + interval, 2 * beat_seconds))
    return track
