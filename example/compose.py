"""Compose and render the example song: seven bars of voice, drums, bass and keys, in stems that sum to the mixture.

``python example/compose.py`` rewrites ``example/example.mp3``; ``--stems FOLDER`` writes the stems as WAV files, too.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import soundfile
from scipy.ndimage import maximum_filter1d, uniform_filter1d

EXAMPLE_DIR = Path(__file__).resolve().parent
sys.path.insert(0, str(EXAMPLE_DIR.parent))  # `example` imports as a package, from wherever this script is started

from example import instruments as play  # noqa: E402
from example.instruments import SAMPLE_RATE_HZ, Sung, Waveform  # noqa: E402

BEAT_SECONDS = 60 / 100
BARS = 7
SECONDS = (4 * BARS + 0.5) * BEAT_SECONDS

# Each chord: its first beat, its length in beats, the bass note, the voicing (MIDI pitches).
CHORDS = (
    (0, 4, 29, (57, 60, 64, 67)),  # Fmaj9
    (4, 4, 28, (56, 59, 62, 67)),  # E7♯9
    (8, 4, 33, (55, 59, 60, 64)),  # Am9
    (12, 2, 31, (53, 57, 58, 62)),  # Gm9
    (14, 2, 36, (52, 58, 62, 64)),  # C9
    (16, 4, 29, (57, 60, 64, 67)),  # Fmaj9
    (20, 4, 28, (56, 59, 62, 65)),  # E7♭9
    (24, 4, 33, (57, 59, 60, 64)),  # Am(add 9)
)
# Each syllable: its first beat, its length in beats, its pitch, how it sounds.
MELODY = (
    *((0.5, 0.5, 69, "lo"), (1, 0.5, 72, "ne"), (1.5, 1, 76, "la"), (2.5, 0.5, 74, "li"), (3, 0.9, 72, "lo")),
    *((4, 1.4, 71, "sa"), (5.5, 0.5, 68, "no"), (6, 0.5, 71, "te"), (6.5, 1.3, 74, "la")),
    *((8, 1.4, 72, "so"), (9.5, 0.5, 71, "li"), (10, 1.9, 69, "na")),
    *((12.5, 0.5, 69, "ti"), (13, 1, 70, "me"), (14, 0.5, 72, "so"), (14.5, 0.5, 74, "la"), (15, 1, 76, "lu")),
    *((16, 1.9, 76, "na"), (18.5, 0.5, 72, "te"), (19, 0.9, 74, "lo")),
    *((20, 1.4, 74, "sa"), (21.5, 0.5, 72, "li"), (22, 1, 71, "no"), (23, 0.9, 68, "ta")),
    *((24, 2.6, 69, "la"),),
)


def compose() -> dict[str, Waveform]:
    """Stems (C, L) by source; their sum is the song. The same numbers on every call."""
    generator = np.random.default_rng(1969)
    tracks = {"vocals": _vocals, "drums": _drums, "bass": _bass, "other": _other}
    wetness = {"vocals": 0.30, "drums": 0.07, "bass": 0.0, "other": 0.22}
    levels = {"vocals": 0.115, "drums": 0.10, "bass": 0.10, "other": 0.085}
    stems = {}
    for source, part in tracks.items():
        dry = part(generator)
        stem = dry + wetness[source] * play.reverb(dry, generator)
        stems[source] = levels[source] * stem / np.sqrt(np.mean(stem**2))
    gain = _master_gain(sum(stems.values()))
    return {source: gain * stem for source, stem in stems.items()}


def _master_gain(mixture: Waveform, ceiling: float = 0.85) -> Waveform:
    """One gain curve (L) for all stems, so that they still sum: a look-ahead limiter, and a fade at the end."""
    reach = SAMPLE_RATE_HZ // 50
    peak = maximum_filter1d(np.abs(mixture).max(axis=0), 2 * reach)
    gain = uniform_filter1d(np.minimum(1.0, ceiling / np.maximum(peak, 1e-9)), reach)
    fade = np.clip((SECONDS - play.clock(SECONDS)) / 1.2, 0, 1)
    return gain * np.sin(np.pi / 2 * fade) ** 2


class _Track:
    """A stereo track (C, L) onto which sounds are put at a beat, with a gain and a place from −1 to 1."""

    def __init__(self) -> None:
        self.samples = np.zeros((2, len(play.clock(SECONDS))))

    def add(self, beat: float, sound: Waveform, gain: float = 1.0, pan: float = 0.0) -> None:
        begin = round(beat * BEAT_SECONDS * SAMPLE_RATE_HZ)
        sound = gain * sound[: self.samples.shape[1] - begin]
        angle = np.pi / 4 * (1 + pan)
        self.samples[:, begin : begin + len(sound)] += np.outer((np.cos(angle), np.sin(angle)), sound)


def _vocals(generator: np.random.Generator) -> Waveform:
    """The lead in the middle, and from the second half on a softer third above or below it, to the sides."""
    track = _Track()
    lead = [Sung(beat * BEAT_SECONDS, beats * BEAT_SECONDS, pitch, text) for beat, beats, pitch, text in MELODY]
    track.add(0, play.voice(lead, SECONDS, generator))
    below = {76: 72, 74: 71, 72: 69, 71: 68, 69: 64, 68: 64}
    backing = [sung._replace(pitch=below[sung.pitch]) for sung in lead if sung.start_seconds >= 16 * BEAT_SECONDS]
    for pan in (-0.6, 0.6):
        detuned = [sung._replace(pitch=sung.pitch + 0.08 * pan) for sung in backing]
        track.add(0, play.voice(detuned, SECONDS, generator), 0.3, pan)
    return track.samples


def _drums(generator: np.random.Generator) -> Waveform:
    """Kick, snare and swung sixteenths on the hat, a little uneven in strength; it stops at the last chord."""
    track = _Track()
    for bar in range(BARS - 1):
        for beat, gain in ((0, 1.0), (1.5, 0.6), (2.55, 0.9)):
            track.add(4 * bar + beat, play.kick(), gain)
        for beat, gain in ((1, 1.0), (3, 1.0), (3.8, 0.25 if bar % 2 else 0.0)):
            track.add(4 * bar + beat, play.snare(generator), 0.7 * gain, 0.1)
        for sixteenth in range(16):
            beat = sixteenth / 4 + (0.05 if sixteenth % 2 else 0.0)
            gain = (0.36, 0.13, 0.24, 0.13)[sixteenth % 4] * generator.uniform(0.8, 1.1)
            track.add(4 * bar + beat, play.hat(generator, 0.11 if sixteenth == 14 else 0.03), gain, 0.35)
    track.add(4 * BARS - 4, play.kick())
    track.add(4 * BARS - 4, play.hat(generator, 0.5), 0.35, -0.3)
    return track.samples


def _bass(generator: np.random.Generator) -> Waveform:
    """Root, its octave off the beat, and a step that leads to the next chord."""
    track = _Track()
    following = [chord[2] for chord in CHORDS[1:]] + [CHORDS[-1][2]]
    for (start, beats, root, _), goal in zip(CHORDS, following, strict=True):
        if start == CHORDS[-1][0]:
            track.add(start, play.bass(root, 3.5 * BEAT_SECONDS))
            continue
        track.add(start, play.bass(root, 1.4 * BEAT_SECONDS))
        track.add(start + 1.5, play.bass(root + 12, 0.4 * BEAT_SECONDS), 0.8)
        if beats == 4:
            track.add(start + 2.5, play.bass(root, 0.9 * BEAT_SECONDS))
            track.add(start + 3.5, play.bass(goal + (1 if goal < root else -1), 0.45 * BEAT_SECONDS), 0.85)
    return track.samples


def _other(generator: np.random.Generator) -> Waveform:
    """Electric piano in the left half, gently rolled; a picked guitar answers in the right."""
    track = _Track()
    for start, beats, _, voicing in CHORDS:
        for index, pitch in enumerate(voicing):
            sound = play.piano(pitch, (beats + (0.5 if start == 24 else -0.15)) * BEAT_SECONDS)
            track.add(start + 0.03 * index, sound, generator.uniform(0.8, 1.0), -0.45 + 0.1 * index)
        for eighth in range(1, 2 * beats):
            pitch = voicing[(0, 2, 1, 3)[eighth % 4]] + (12 if eighth % 3 == 0 else 0)
            track.add(start + eighth / 2, play.guitar(pitch, 1.2), generator.uniform(0.35, 0.55), 0.55)
    return track.samples


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=EXAMPLE_DIR / "example.mp3", help="the song's file")
    parser.add_argument("--stems", type=Path, metavar="FOLDER", help="write mixture.wav, vocals.wav, … there, too")
    options = parser.parse_args()
    stems = compose()
    mixture = sum(stems.values())
    soundfile.write(options.output, mixture.T, SAMPLE_RATE_HZ, format="MP3", compression_level=0.2)
    if options.stems:
        options.stems.mkdir(parents=True, exist_ok=True)
        rounded = {source: np.round(stem * 2**15).astype(np.int16) for source, stem in stems.items()}
        for source, samples in {"mixture": sum(rounded.values()), **rounded}.items():
            soundfile.write(options.stems / f"{source}.wav", samples.T, SAMPLE_RATE_HZ)
    print(f"{options.output}: {mixture.shape[1] / SAMPLE_RATE_HZ:.1f} s")


if __name__ == "__main__":
    main()
