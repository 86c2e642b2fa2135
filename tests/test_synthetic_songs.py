"""Songs of MIDI and sound fonts: in tune, in time, each part in its stem, and whole or not at all."""

import importlib
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from random import Random
from types import SimpleNamespace

import mido
import numpy as np
import pytest
import soundfile
import torch
from scipy.signal import sosfreqz

from demixer.errors import UserError
from demixer.paths import PROJECT_DIR

MODULES = ("accompaniment", "arranging", "composing", "fonts", "genres", "harmony", "lines", "notes", "rendering")
RATE_HZ = 44_100


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The modules, by name."""
    monkeypatch.syspath_prepend(str(PROJECT_DIR / "benchmarks"))
    names = (*MODULES, "sounds", "studio")
    modules = {name: importlib.import_module(f"synthetic.{name}") for name in names}
    return SimpleNamespace(**modules, script=importlib.import_module("synthetic_songs"))


@pytest.fixture
def fluid(made: SimpleNamespace) -> dict:
    """The one sound font that these tests play, and the program."""
    try:
        return made.fonts.locate([made.fonts.FLUID], programs={"fluidsynth": "fluidsynth"})
    except UserError as missing:
        pytest.skip(str(missing))


def tone(hz: float, seconds: float = 1.0) -> torch.Tensor:
    return torch.sin(2 * math.pi * hz * torch.arange(round(seconds * RATE_HZ)) / RATE_HZ).expand(2, -1)


def one_bar(made: SimpleNamespace, genre: str = "rock") -> object:
    section = made.composing.Section("chorus", 0, (made.harmony.chord("vi"),), "zoom:ROCK01", "casio:PopRock1")
    return made.composing.Song(genre, 120.0, 3, "major", (section,))


def test_chords_of_a_key(made: SimpleNamespace) -> None:
    chord = made.harmony.chord
    assert chord("I").pitch_classes(tonic=0) == (0, 4, 7)
    assert chord("bVII7").name(tonic=2) == "C7"
    assert chord("ii7").pitch_classes(tonic=10) == (0, 3, 7, 10)
    for text in ("bVIII", "IIII", "H", "I9"):
        with pytest.raises(ValueError, match=f"chord `{text}`"):
            chord(text)


def test_every_progression_can_be_read(made: SimpleNamespace) -> None:
    for family, progressions in made.harmony.PROGRESSIONS.items():
        for progression in progressions:
            assert len([made.harmony.chord(one) for one in progression.split()]) in (4, 12), (family, progression)


def test_parts_are_sorted_by_their_instruments(made: SimpleNamespace) -> None:
    midi = mido.MidiFile(ticks_per_beat=480)
    for channel, program in enumerate((33, 52, 115, 30)):
        events = [
            mido.Message("program_change", channel=channel, program=program),
            mido.Message("note_on", channel=channel, note=40 + channel, velocity=90, time=240),
            mido.Message("note_off", channel=channel, note=40 + channel, time=480),
        ]
        midi.tracks.append(mido.MidiTrack(events))
    drum = [mido.Message(kind, channel=9, note=38, time=60) for kind in ("note_on", "note_off")]
    midi.tracks.append(mido.MidiTrack(drum))
    parts = {part.program: part for part in made.accompaniment.parts_of(midi)}
    assert sorted(parts) == [-1, 30, 33, 48], "a choir plays as strings, a wood block of the instruments not at all"
    assert parts[33].notes == [made.notes.Note(0.5, 1.0, 40, 90)]
    assert parts[-1].source == "drums"
    assert made.notes.Part("bass", 33, []).source == "bass"


@pytest.mark.skipif(shutil.which("mma") is None, reason="apt-get install mma")
def test_mma_plays_drums_bass_and_chords_in_the_key(made: SimpleNamespace, tmp_path: Path) -> None:
    song = one_bar(made)
    parts = made.accompaniment.accompany(song, tmp_path, Random(0))
    by_source = {source: [part for part in parts if part.source == source] for source in ("drums", "bass", "other")}
    assert {source: len(some) for source, some in by_source.items()} == {"drums": 1, "bass": 1, "other": 3}
    chord = set(song.chords[0].pitch_classes(song.tonic))
    for part in (*by_source["bass"], *by_source["other"]):
        assert {note.pitch % 12 for note in part.notes} <= chord, part
        assert all(-0.1 < note.start_beats < 4 for note in part.notes)
    assert {36, 38} <= {note.pitch for note in by_source["drums"][0].notes}
    assert parts == made.accompaniment.accompany(song, tmp_path, Random(0))


@pytest.mark.parametrize("seed", range(12))
def test_lines_are_in_the_bars_and_the_range_of_their_instrument(made: SimpleNamespace, seed: int) -> None:
    random = Random(seed)
    song = made.composing.compose(random)
    seconds = song.seconds(song.bars * made.composing.BEATS)
    assert 60 <= seconds <= 115 + song.seconds(12 * made.composing.BEATS)
    for role, (lowest, highest) in {"riff": (40, 63), "lead": (57, 93), "pad": (48, 100), "strum": (43, 83)}.items():
        notes = made.lines.LINES[role](song, random)
        assert {lowest <= note.pitch <= highest for note in notes} <= {True}, role
        assert all(0 <= note.start_beats < song.bars * 4 and note.length_beats > 0 for note in notes)
        assert all(1 <= note.velocity <= 127 for note in notes)
    assert {24 <= note.pitch <= 54 for note in made.lines.bass_line(song, random)} <= {True}


def test_something_other_plays_in_every_section(made: SimpleNamespace) -> None:
    song = made.composing.compose(Random(3))
    whole = [made.notes.Note(float(beat), 1.0, 60, 90) for beat in range(song.bars * 4)]
    parts = [made.notes.Part(role, 0, whole) for role in ("lead", "band", "pad")]
    for seed in range(20):
        left = made.arranging._in_sections(song, parts, Random(seed))
        assert {note.start_beats for part in left for note in part.notes} == {note.start_beats for note in whole}


def test_a_note_is_in_tune_and_in_time(made: SimpleNamespace, fluid: dict, tmp_path: Path) -> None:
    sine = made.fonts.Preset(made.fonts.FLUID, 8, 80)
    for cents in (0.0, 40.0):
        take = made.rendering.Take(sine, looseness_seconds=0.0, detune_cents=cents)
        note = made.notes.Note(1.0, 3.0, 69, 100)
        audio = made.rendering.play([note], take, 120.0, 2.0, fluid, tmp_path, Random(0))
        assert audio.shape == (2, 2 * RATE_HZ)
        assert float(audio[:, : RATE_HZ // 2 - 100].abs().max()) == 0, "a beat of silence at 120 bpm"
        assert float(audio[:, RATE_HZ // 2 : RATE_HZ].abs().max()) > 1e-3
        spectrum = torch.fft.rfft(audio[0, -RATE_HZ:] * torch.hann_window(RATE_HZ), 16 * RATE_HZ).abs()
        assert 1200 * math.log2(int(spectrum.argmax()) / 16 / 440) == pytest.approx(cents, abs=4)


def test_one_bar_is_recorded_the_same_way_twice(made: SimpleNamespace, fluid: dict, tmp_path: Path) -> None:
    song = one_bar(made)
    parts = [
        made.notes.Part("drums", -1, [made.notes.Note(beat, 0.2, 38, 110) for beat in (1.0, 3.0)]),
        made.notes.Part("bass", 33, made.lines.bass_line(song, Random(1))),
        made.notes.Part("band", 0, made.lines.pad(song, Random(1))),
    ]
    first, again = (made.arranging.record(song, parts, fluid, tmp_path, Random(5)) for _ in range(2))
    assert {*first} == {"drums", "bass", "other"}
    for source, stem in first.items():
        assert stem.shape == (2, round((2 + made.arranging.TAIL_SECONDS) * RATE_HZ))
        assert torch.equal(stem, again[source])
        assert 0.01 < made.studio.sounding_rms(stem) < 0.3
        assert float(stem.abs().max()) <= 0.99
    spectra = {source: torch.fft.rfft(stem.mean(0)).abs().square() for source, stem in first.items()}
    low = {source: float(s[: 4 * 200].sum() / s.sum()) for source, s in spectra.items()}  # bins of a quarter of a Hz
    assert low["bass"] > 0.5 > low["other"]


@pytest.mark.parametrize(("drive_db", "cabinet_hz"), [(3.0, None), (32.0, 6000.0)])
def test_amplifiers_make_overtones_and_fold_nothing_back(
    made: SimpleNamespace, drive_db: float, cabinet_hz: float | None
) -> None:
    hz = 1300
    driven = made.studio.process(tone(hz, 2.0), made.studio.Chain(drive_db, cabinet_hz))[0, RATE_HZ:]
    spectrum = torch.fft.rfft(driven * torch.hann_window(RATE_HZ)).abs().square()
    overtone = torch.zeros(len(spectrum), dtype=torch.bool)
    for number in range(1, 17):
        overtone[number * hz - 4 : number * hz + 5] = True
    assert -30 < 10 * math.log10(spectrum[3 * hz] / spectrum[hz]) < 0
    assert 10 * math.log10(spectrum[~overtone].sum() / spectrum[overtone].sum()) < -50


def test_places_and_levels(made: SimpleNamespace) -> None:
    left = made.studio.process(tone(440), made.studio.Chain(pan=-1.0, level_db=-6.0))
    assert float(left[1].abs().max()) < 1e-6
    assert made.studio.sounding_rms(left) == pytest.approx(10 ** (-6 / 20), rel=1e-3)
    stem = made.studio.finish(100 * tone(440), "bass", Random(0))
    median_rms, _ = made.studio.LEVELS["bass"]
    assert -8.1 < 20 * math.log10(made.studio.sounding_rms(stem) / median_rms) < 6.1


def test_what_is_missing_is_named(made: SimpleNamespace, tmp_path: Path) -> None:
    fonts = (made.fonts.FLUID, made.fonts.OPL3)
    with pytest.raises(UserError, match=r"apt-get install no-such-package fluid-soundfont-gm opl3-soundfont$"):
        made.fonts.locate(fonts, folders=[tmp_path], programs={"no-such-program": "no-such-package"})


def test_what_is_left_out_has_its_like(made: SimpleNamespace) -> None:
    fonts = made.fonts
    playable = made.sounds.playable
    assert playable(fonts.Preset(fonts.OPL3, 0, 81), fonts.PERMISSIVE) == fonts.Preset(fonts.FLUID, 0, 81)
    assert playable(fonts.KITS["acoustic"][0], fonts.PERMISSIVE) == fonts.Preset(fonts.FLUID, 128, 0)
    assert playable(fonts.KITS["soft"][0], fonts.PERMISSIVE) == fonts.KITS["soft"][0]


@pytest.fixture
def quick(made: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """The script without programs: songs of half a minute of their number's noise."""
    script = made.script

    def noise(song: object, parts: object, fonts: object, folder: Path, random: Random) -> dict[str, torch.Tensor]:
        level = random.uniform(0.1, 0.2)
        return {source: torch.full((2, 30 * 100), level) for source in ("drums", "bass")}

    monkeypatch.setattr(script, "locate", lambda fonts: {})
    monkeypatch.setattr(script, "write_song", lambda random, folder: (one_bar(made), []))
    monkeypatch.setattr(script, "record", noise)
    monkeypatch.setattr(script, "RATE_HZ", 100)
    return script


def call(script: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr("sys.argv", ["synthetic_songs.py", *map(str, words)])
    script.main()


def test_songs_are_kept_and_added_to(
    quick: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    call(quick, monkeypatch, tmp_path, "--minutes", 1)
    first = sorted((tmp_path / "train").rglob("*.wav"))
    assert [str(path.relative_to(tmp_path / "train")) for path in first] == [
        f"synthetic 0 000{number}/{source}.wav" for number in (0, 1) for source in ("bass", "drums")
    ]
    assert json.loads((first[0].parent / "song.json").read_text())["key"] == "Eb major"
    before = [(path.stat().st_mtime_ns, path.read_bytes()) for path in first]
    call(quick, monkeypatch, tmp_path, "--minutes", 1.5)
    assert [(path.stat().st_mtime_ns, path.read_bytes()) for path in first] == before
    assert "3 songs, 1.5 minutes, 1 of them new" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "train" / "synthetic 0 0001")
    call(quick, monkeypatch, tmp_path, "--minutes", 1.5)
    assert [path.read_bytes() for path in first] == [content for _, content in before], (
        "a song is its seed's and number's"
    )
    assert not np.array_equal(soundfile.read(first[0])[0], soundfile.read(first[2])[0])


def test_a_song_is_whole_or_not_at_all(quick: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(quick.soundfile, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        call(quick, monkeypatch, tmp_path, "--minutes", 1)
    assert [*tmp_path.rglob("*")] == [tmp_path / "train"]


def test_mistakes_are_one_line(quick: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match=r"--minutes \(=0\.0\)"):
        call(quick, monkeypatch, tmp_path, "--minutes", 0)
    (tmp_path / "train" / "synthetic 0 0000").mkdir(parents=True)
    with pytest.raises(UserError, match=r"synthetic 0 0000` is no song of this program"):
        call(quick, monkeypatch, tmp_path, "--minutes", 1)


def test_bells_and_shelves_have_their_gain_where_it_belongs(made: SimpleNamespace) -> None:
    biquads = importlib.import_module("synthetic.biquads")
    for section, at_hz in (
        (biquads.bell(1000, 6.0, 1.0, RATE_HZ), {20: 0, 1000: 6, 1000 / math.sqrt(2): 3, 20_000: 0}),
        (biquads.high_shelf(1000, -8.0, 0.5, RATE_HZ), {10: 0, 1000: -4, 20_000: -8}),
    ):
        _, response = sosfreqz(np.array([section]), [*at_hz], fs=RATE_HZ)
        assert 20 * np.log10(np.abs(response)) == pytest.approx([*at_hz.values()], abs=0.1)
