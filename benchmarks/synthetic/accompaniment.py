"""Drums and band by MMA (Musical MIDI Accompaniment), from the song's chords and grooves."""

import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import mido

from synthetic.composing import Section, Song
from synthetic.notes import BASS_PROGRAMS, DRUM_PROGRAM, Note, Part

_DRUM_CHANNEL = 9
_HIGHEST_BASS = 55
_UNPITCHED = range(112, 128)  # drums and effects among General MIDI's instruments
_INSTEAD = {52: 48, 53: 49, 54: 50, 85: 81, 91: 89, 101: 88, 87: 81}  # choirs are no "other"; nor is a bass with a lead


def accompany(song: Song, folder: Path, random: Random) -> list[Part]:
    """The drums, the basses (as one part) and the other instruments that the song's grooves ask for.

    Args:
        song: the song.
        folder: for MMA's files.
        random: seeds MMA's own variations.
    """
    drums = [one for one in _perform(song, "drums", folder, random) if one.source == "drums"]
    band = [one for one in _perform(song, "band", folder, random) if one.source != "drums"]
    basses = [_low(note) for one in band if one.program in BASS_PROGRAMS for note in one.notes]
    others = [one for one in band if one.program not in BASS_PROGRAMS]
    return drums + ([Part("bass", BASS_PROGRAMS[0], basses)] if basses else []) + others


def _low(note: Note) -> Note:
    """Some grooves let the bass play a lead."""
    octaves = max(0, -(-(note.pitch - _HIGHEST_BASS) // 12))
    return replace(note, pitch=note.pitch - 12 * octaves)


def _perform(song: Song, which: str, folder: Path, random: Random) -> list[Part]:
    lines = [f"RndSeed {random.randrange(10**6)}", f"Tempo {song.tempo_bpm}"]
    for section in song.sections:
        lines += [f"Groove {section.drums if which == 'drums' else section.band}", *_bars(section, song.tonic)]
    source, midi = folder / f"{which}.mma", folder / f"{which}.mid"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = subprocess.run(["mma", str(source), "-f", str(midi)], capture_output=True, text=True, check=False)
    if done.returncode or not midi.is_file():
        raise RuntimeError(f"mma could not play {lines}: {done.stdout}{done.stderr}")
    return list(parts_of(mido.MidiFile(midi)))


def _bars(section: Section, tonic: int) -> Iterator[str]:
    for number, chord in enumerate(section.chords, section.first_bar + 1):
        yield f"{number} {chord.name(tonic)}"


def parts_of(midi: mido.MidiFile) -> Iterator[Part]:
    """The parts of a MIDI file, by instrument, in the order of their numbers; controllers are left out."""
    notes: dict[int, list[Note]] = defaultdict(list)
    for track in midi.tracks:
        for program, note in _notes_of(track, midi.ticks_per_beat):
            if program not in _UNPITCHED:
                notes[_INSTEAD.get(program, program)].append(note)
    for program in sorted(notes):
        yield Part("drums" if program == DRUM_PROGRAM else "band", program, notes[program])


def _notes_of(track: mido.MidiTrack, ticks_per_beat: int) -> Iterator[tuple[int, Note]]:
    """The notes of a track, each with its instrument."""
    programs: dict[int, int] = {}
    sounding: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    ticks = 0
    for message in track:
        ticks += message.time
        if message.type == "program_change":
            programs[message.channel] = message.program
        elif message.type == "note_on" and message.velocity:
            sounding[message.channel, message.note].append((ticks, message.velocity))
        elif message.type in ("note_on", "note_off") and sounding[message.channel, message.note]:
            start, velocity = sounding[message.channel, message.note].pop(0)
            program = DRUM_PROGRAM if message.channel == _DRUM_CHANNEL else programs.get(message.channel, 0)
            length = max(ticks - start, 1) / ticks_per_beat
            yield program, Note(start / ticks_per_beat, length, message.note, velocity)
