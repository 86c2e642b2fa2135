"""Notes → sound: a MIDI file, which FluidSynth plays with one preset of a sound font."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import mido
import numpy as np
import soundfile
import torch
from torch import Tensor

from synthetic.fonts import Font, Preset
from synthetic.notes import Note

RATE_HZ = 44_100
_TICKS_PER_BEAT = 960
_DRUM_BANK, _DRUM_CHANNEL = 128, 9
_BEND_CENTS = 200  # that a full pitch bend of 8191 makes
_GAIN = 0.2  # FluidSynth's own; levels are set later


@dataclass(frozen=True)
class Take:
    """How notes are played.

    Args:
        preset: by which sound.
        looseness_seconds: standard deviation of when a note begins.
        detune_cents: how far out of tune.
        vibrato: 0 … 127, as MIDI's modulation wheel.
    """

    preset: Preset
    looseness_seconds: float = 0.004
    detune_cents: float = 0.0
    vibrato: int = 0


def play(
    notes: Sequence[Note],
    take: Take,
    tempo_bpm: float,
    seconds: float,
    fonts: dict[Font, Path],
    folder: Path,
    random: Random,
) -> Tensor:
    """The notes as (2, L) in float32; dry, of ``seconds``.

    Args:
        notes: of one instrument.
        take: how they are played.
        tempo_bpm: of the song.
        seconds: of the song.
        fonts: where they are.
        folder: for FluidSynth's files.
        random: when each note comes.
    """
    midi, wav = folder / "take.mid", folder / "take.wav"
    _midi_file(notes, take, tempo_bpm, random).save(midi)
    command = ["fluidsynth", "-ni", "-q", "-R", "0", "-C", "0", "-g", str(_GAIN), "-r", str(RATE_HZ), "-O", "float"]
    command += ["-o", "synth.dynamic-sample-loading=1", "-o", "synth.polyphony=64"]
    done = subprocess.run(
        [*command, "-F", wav, fonts[take.preset.font], midi], capture_output=True, text=True, check=False
    )
    if done.returncode or not wav.is_file():
        raise RuntimeError(f"fluidsynth failed: {done.stdout}{done.stderr}")
    played = soundfile.read(wav, dtype="float32", always_2d=True)[0]
    wav.unlink()
    audio = np.zeros((round(seconds * RATE_HZ), 2), dtype=np.float32)
    audio[: len(played)] = played[: len(audio)]
    return torch.from_numpy(audio.T.copy())


def _midi_file(notes: Sequence[Note], take: Take, tempo_bpm: float, random: Random) -> mido.MidiFile:
    channel = _DRUM_CHANNEL if take.preset.bank == _DRUM_BANK else 0
    events: list[tuple[int, int, mido.Message]] = []
    last_end: dict[int, int] = {}
    for note in sorted(notes, key=lambda note: (note.start_beats, note.pitch)):
        late_beats = random.gauss(0, take.looseness_seconds) * tempo_bpm / 60
        start = max(round((note.start_beats + late_beats) * _TICKS_PER_BEAT), last_end.get(note.pitch, 0))
        end = start + max(1, round(note.length_beats * _TICKS_PER_BEAT) - 4)  # a note ends before its repetition
        last_end[note.pitch] = end
        on, off = (mido.Message(kind, channel=channel, note=note.pitch) for kind in ("note_on", "note_off"))
        events += [(start, 1, on.copy(velocity=note.velocity)), (end, 0, off)]
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo_bpm)), *_head(take, channel)])
    before = 0
    for ticks, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=ticks - before))
        before = ticks
    return mido.MidiFile(ticks_per_beat=_TICKS_PER_BEAT, tracks=[track])


def _head(take: Take, channel: int) -> list[mido.Message]:
    """Which preset, how it is tuned, and its vibrato."""
    bank = [] if channel == _DRUM_CHANNEL else [mido.Message("control_change", control=0, value=take.preset.bank)]
    bend = mido.Message("pitchwheel", pitch=round(take.detune_cents / _BEND_CENTS * 8191))
    vibrato = mido.Message("control_change", control=1, value=take.vibrato)
    return [
        message.copy(channel=channel)
        for message in (*bank, mido.Message("program_change", program=take.preset.program), bend, vibrato)
    ]
