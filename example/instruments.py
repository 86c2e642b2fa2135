"""A small band: one function per instrument, each giving a mono waveform (L) at 44.1 kHz in about ±1."""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, fftconvolve, lfilter, sosfilt

SAMPLE_RATE_HZ = 44_100
Waveform = NDArray[np.float64]

# Formants of an alto: centre in Hz, level in dB, bandwidth in Hz.
FORMANTS = {
    "a": ((800, 0, 80), (1150, -4, 90), (2800, -20, 120), (3500, -30, 130), (4950, -44, 140)),
    "e": ((400, 0, 60), (1600, -18, 80), (2700, -24, 120), (3300, -29, 150), (4950, -46, 200)),
    "i": ((350, 0, 50), (1700, -16, 100), (2700, -24, 120), (3700, -30, 150), (4950, -46, 200)),
    "o": ((450, 0, 70), (800, -9, 80), (2830, -16, 100), (3500, -28, 130), (4950, -45, 135)),
    "u": ((325, 0, 50), (700, -12, 60), (2530, -26, 170), (3500, -34, 180), (4950, -50, 200)),
}


class Sung(NamedTuple):
    """One syllable of a melody, such as ``Sung(0.0, 0.5, 69, "la")``; it ends in its vowel, "s" and "t" hiss."""

    start_seconds: float
    seconds: float
    pitch: float
    syllable: str


def hz(pitch: float | Waveform) -> float | Waveform:
    """Frequency of a MIDI pitch.

    >>> float(hz(69))
    440.0
    """
    return 440.0 * 2.0 ** ((pitch - 69) / 12)


def clock(seconds: float) -> Waveform:
    return np.arange(round(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ


def band(waveform: Waveform, low_hz: float | None, high_hz: float | None, order: int = 2) -> Waveform:
    """Butterworth filter: high-pass, low-pass or band-pass, as the edges given (None: open) tell."""
    edges = [edge for edge in (low_hz, high_hz) if edge]
    kind = "bandpass" if len(edges) == 2 else "highpass" if low_hz else "lowpass"
    return sosfilt(_butterworth(order, tuple(edges), kind), waveform)


@cache
def _butterworth(order: int, edges_hz: tuple[float, ...], kind: str) -> Waveform:
    return butter(order, edges_hz if len(edges_hz) > 1 else edges_hz[0], kind, fs=SAMPLE_RATE_HZ, output="sos")


def glide(values: Waveform, seconds: float) -> Waveform:
    """Follow ``values`` as a muscle would, ``seconds`` behind: two one-pole filters, started at rest there."""
    pole = np.exp(-2 / (seconds * SAMPLE_RATE_HZ))
    for _ in range(2):
        values = lfilter([1 - pole], [1, -pole], values, zi=[pole * values[0]])[0]
    return values


def saw(frequency_hz: Waveform) -> Waveform:
    """Sawtooth of a changing frequency; each jump is rounded over two samples (polyBLEP) against aliasing."""
    step = frequency_hz / SAMPLE_RATE_HZ
    phase = np.cumsum(step) % 1.0
    after, before = phase / step, (phase - 1) / step
    rounding = np.where(after < 1, 2 * after - after**2 - 1, 0) + np.where(before > -1, before**2 + 2 * before + 1, 0)
    return 2 * phase - 1 - rounding


def voice(melody: Sequence[Sung], seconds: float, generator: np.random.Generator) -> Waveform:
    """Sing: a pulse train with vibrato and breath through the formants of the vowels, and hissed consonants."""
    time = clock(seconds)
    pitch, loud, hiss = np.full_like(time, melody[0].pitch), np.zeros_like(time), np.zeros_like(time)
    vowels = {syllable[-1]: np.zeros_like(time) for *_, syllable in melody}
    for start, length, note, syllable in melody:
        begin, end = (round(at * SAMPLE_RATE_HZ) for at in (start, start + length))
        pitch[begin:], loud[begin : end - 1500] = note, 1.0
        for vowel, weight in vowels.items():
            weight[begin:] = vowel == syllable[-1]
        hiss[max(begin - 3500, 0) : begin] = {"s": 0.7, "t": 0.25}.get(syllable[0], 0.0)
    loud = glide(loud, 0.03)
    vibrato = 0.3 * glide(loud, 0.25) ** 4 * np.sin(2 * np.pi * 5.6 * time)
    pulses = np.diff(saw(hz(glide(pitch, 0.025) + vibrato)), prepend=0.0)
    noise = generator.standard_normal(len(time))
    source = (pulses + 0.01 * noise) * loud
    sung = sum(_formants(source, vowel) * glide(weight, 0.03) for vowel, weight in vowels.items())
    air = band(noise, 5500, 15_000) * (0.03 * glide(hiss, 0.008) + 0.0015 * loud)
    return _even(sung) + air


def _even(waveform: Waveform, strength: float = 0.6) -> Waveform:
    """Compress: bring the level of each tenth of a second nearer to 0.1, as a vowel may meet a harmonic or miss it."""
    power = uniform_filter1d(waveform**2, SAMPLE_RATE_HZ // 10)  # a running sum: rounding may leave it below zero
    level = np.sqrt(np.maximum(power, 0)) + 0.01
    return waveform * (0.1 / level) ** strength


def _formants(source: Waveform, vowel: str) -> Waveform:
    """Parallel two-pole resonators, each of unit gain at its centre but for its level."""
    total = np.zeros_like(source)
    for centre_hz, level_db, width_hz in FORMANTS[vowel]:
        radius, angle = np.exp(-np.pi * width_hz / SAMPLE_RATE_HZ), 2 * np.pi * centre_hz / SAMPLE_RATE_HZ
        gain = 10 ** (level_db / 20) * (1 - radius**2) / 2
        total += lfilter([gain, 0, -gain], [1, -2 * radius * np.cos(angle), radius**2], source)
    return total


def bass(pitch: float, seconds: float) -> Waveform:
    """Synth bass: a saw whose brightness fades from 1.8 kHz to 300 Hz, over a sine of the same pitch."""
    time = clock(seconds)
    frequency_hz = np.full_like(time, hz(pitch))
    bright, dark = (band(saw(frequency_hz), None, edge_hz) for edge_hz in (1800, 300))
    fade = np.exp(-time / 0.12)
    tone = 0.6 * (fade * bright + (1 - fade) * dark) + 0.5 * np.sin(2 * np.pi * frequency_hz * time)
    return np.tanh(tone) * _gate(time, attack=0.004, release=0.03)


def guitar(pitch: float, seconds: float) -> Waveform:
    """Plucked string: harmonics that start as a pluck at a fifth of the string and die the faster the higher."""
    time = clock(seconds)
    impulse = np.zeros_like(time)
    impulse[0] = 1.0
    string = np.zeros_like(time)
    for n in range(1, 1 + min(24, int(16_000 / hz(pitch)))):  # each partial is the answer of a two-pole filter
        angle = 2 * np.pi * hz(pitch) * n * np.sqrt(1 + 8e-5 * n**2) / SAMPLE_RATE_HZ
        radius = np.exp(-(1.3 + 0.5 * n) / SAMPLE_RATE_HZ)
        strength = np.sin(np.pi * n / 5) / n**1.6 * np.sin(angle)
        string += lfilter([0, strength * radius], [1, -2 * radius * np.cos(angle), radius**2], impulse)
    return string * _gate(time, attack=0.002, release=0.05)


def piano(pitch: float, seconds: float) -> Waveform:
    """Electric piano by frequency modulation: a warm body and a tine that rings above it."""
    time = clock(seconds)
    turn = 2 * np.pi * hz(pitch) * time
    body = np.sin(turn + 1.1 * np.exp(-time / 0.6) * np.sin(turn))
    tine = 0.25 * np.exp(-time / 0.15) * np.sin(turn + 0.8 * np.sin(14 * turn))
    return (body + tine) * np.exp(-time / 1.4) * _gate(time, attack=0.004, release=0.12)


def kick() -> Waveform:
    time = clock(0.4)
    sweep = np.cumsum(48 + 160 * np.exp(-time / 0.03)) / SAMPLE_RATE_HZ
    return np.tanh(1.6 * np.sin(2 * np.pi * sweep) * np.exp(-time / 0.12)) + 0.3 * np.exp(-time / 0.002)


def snare(generator: np.random.Generator) -> Waveform:
    time = clock(0.35)
    wires = band(generator.standard_normal(len(time)), 900, 18_000) * np.exp(-time / 0.07)
    return 0.5 * wires + 0.6 * np.sin(2 * np.pi * 188 * time) * np.exp(-time / 0.05)


def hat(generator: np.random.Generator, decay_seconds: float = 0.035) -> Waveform:
    time = clock(6 * decay_seconds)
    return 0.5 * band(generator.standard_normal(len(time)), 7000, None, order=4) * np.exp(-time / decay_seconds)


def _gate(time: Waveform, attack: float, release: float) -> Waveform:
    """Rise from zero and fall to zero in straight lines, so that no note clicks."""
    return np.clip(np.minimum(time / attack, (time[-1] - time) / release), 0, 1)


def reverb(stereo: Waveform, generator: np.random.Generator, seconds: float = 1.6) -> Waveform:
    """Room: convolve (C, L) with decaying noise, another one per channel; only the wet part, as long as the input."""
    time = clock(seconds)
    rooms = band(generator.standard_normal((2, len(time))), 250, 6500) * np.exp(-6.9 * time / seconds)
    rooms /= np.sqrt((rooms**2).sum(axis=1, keepdims=True))
    return fftconvolve(stereo, rooms, axes=1)[:, : stereo.shape[1]]
