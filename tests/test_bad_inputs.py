"""What a user can hand over by mistake: one line that names it and says why, and all other songs are done.

Each case puts something beside a good song and separates the folder, or gives the whole command line.
``python tests/bad_inputs_table.py`` prints them all, and those of demix-live (test_live_command.py), as a table: the
case, the line, the exit code.
"""

import contextlib
import io
import os
import pickle
import resource
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import av
import pytest
import torch
from safetensors.torch import save_file

import demixer.errors
from demixer import AudioParams, Separator
from demixer.checkpoints.hparams import write_hparams
from demixer.checkpoints.locating import HPARAMS_NAME, WEIGHTS_NAME
from demixer.checkpoints.weights import write_weights
from demixer.commands import convert, demix, download, evaluate, export
from demixer.model.building import build_network
from demixer.songs.manifest import MANIFEST_NAME
from tests.song_files import (
    TINY_HPARAMS,
    encode,
    forget_length,
    music,
    noise,
    read,
    snr_db,
    write_song,
    write_tiny_model,
)

SAMPLES = 4_000


@dataclass(frozen=True)
class Case:
    """Something in the folder of songs.

    Args:
        name: the file that ``make`` creates.
        make: given its path, creates it.
        line: the one line on stderr, without its beginning ``error: `path`: ``; None: all is well.
        stems: names of the stems that are written beside those of the good song.
        code: the exit code.
        kind: how the line begins.
    """

    name: str
    make: Callable[[Path], object]
    line: str | None = None
    stems: tuple[str, ...] = ()
    code: int = 1
    kind: str = "error"


def song(waveform=None, rate_hz=44100, subtype="FLOAT"):
    return lambda path: write_song(path, music(SAMPLES) if waveform is None else waveform, rate_hz, subtype)


def cut(write, part):
    """The file that ``write`` makes, without its end."""

    def make(path):
        write(path)
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * part)])

    return make


def with_sample(value):
    waveform = music(SAMPLES)
    waveform[1, 1234] = value
    return song(waveform)


def header_with_rate(rate_hz):
    """A WAV header is not believed: soundfile itself writes no such rate."""

    def make(path):
        write_song(path, music(SAMPLES))
        content = bytearray(path.read_bytes())
        content[24:28] = struct.pack("<I", rate_hz)
        path.write_bytes(content)

    return make


def link_to_itself(path):
    path.symlink_to(path)


def silent_film(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        frame = av.VideoFrame(16, 16, "yuv420p")
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def collide(path):
    write_song(path, music(SAMPLES))
    write_song(path.with_suffix(".flac"), music(SAMPLES), subtype=None)


def well(name, make, stem=None):
    return Case(name, make, None, (f"{stem or Path(name).stem}_vocals.wav",), 0)


def damaged(name, make, reason):
    """A song that is separated as far as it goes."""
    line = f"it is damaged ({reason}): separated as far as it goes"
    return Case(name, make, line, (f"{Path(name).stem}_vocals.wav",), 3, "note")


def old_tag(path):
    """An ID3v1 tag in the encoding of its author's country."""
    encode(path, "libmp3lame", options={"id3v2_version": "0"})
    path.write_bytes(path.read_bytes() + b"TAG" + "Привет".encode("cp1251").ljust(125, b"\0"))


def joined(path):
    """Stereo at 44.1 kHz, then mono at 48 kHz."""
    parts = ((2, 44_100), (1, 48_000))
    content = [encode(path, "aac", noise(SAMPLES, channels), rate_hz).read_bytes() for channels, rate_hz in parts]
    path.write_bytes(b"".join(content))


def without_length(path):
    write_song(path, music(SAMPLES), subtype="PCM_16")
    forget_length(path)


NOT_AUDIO = "it is no audio, or damaged beyond decoding"
NO_FILE = "it is a folder, a pipe or a device: give a file"
NOT_FINITE = "sample 1234 (at 0.028 s) is infinite or not a number: export it again"
SQUARE = noise(SAMPLES).sign()

CASES = [
    Case("empty.wav", Path.touch, "the file is empty"),
    Case("empty.stem.mp4", Path.touch, "the file is empty"),
    Case("film.mp4", silent_film, "it holds no audio"),
    Case("pipe.wav", os.mkfifo, NO_FILE),
    Case("device.wav", lambda path: path.symlink_to("/dev/zero"), NO_FILE),
    Case("header_only.wav", cut(song(subtype="PCM_16"), 44 / (44 + 4 * SAMPLES)), "it holds no samples"),
    Case("no_samples.wav", song(torch.zeros(2, 0)), "it holds no samples"),
    Case("half_a_header.wav", cut(song(), 0.0005), NOT_AUDIO),
    Case("text.wav", lambda path: path.write_text("la la la\n" * 100), NOT_AUDIO),
    Case("picture.mp3", lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500)), NOT_AUDIO),
    Case("random.flac", lambda path: path.write_bytes(torch.arange(256).repeat(9).byte().numpy().tobytes()), NOT_AUDIO),
    Case("random.m4a", lambda path: path.write_bytes(bytes(range(256)) * 9), NOT_AUDIO),
    Case(
        "truncated.mp3",
        cut(song(noise(132_300), subtype=None), 0.5),
        "it is damaged (its header tells of 3.0 s): separated as far as it goes",
        ("truncated_vocals.wav",),
        3,
        "note",
    ),
    Case(
        "truncated.flac",
        cut(song(noise(400_000, 1), subtype=None), 0.9),
        "it is damaged (flac decoder lost sync): separated as far as it goes",
        ("truncated_vocals.wav",),
        3,
        "note",
    ),
    damaged("truncated.wav", cut(song(noise(SAMPLES), subtype="PCM_16"), 0.75), "its last 25 % are missing"),
    damaged("truncated.aiff", cut(song(noise(SAMPLES), subtype="PCM_16"), 0.5), "its last 50 % are missing"),
    damaged("truncated.w64", cut(song(noise(SAMPLES), subtype="PCM_16"), 0.5), "its last 50 % are missing"),
    damaged("truncated.au", cut(song(noise(SAMPLES), subtype="PCM_16"), 0.5), "its last 50 % are missing"),
    damaged("truncated.ogg", cut(song(noise(50_000), subtype="VORBIS"), 0.5), "the end of its stream is missing"),
    Case("nan.wav", with_sample(float("nan")), NOT_FINITE),
    Case("infinite.wav", with_sample(float("-inf")), NOT_FINITE),
    Case(
        "far_too_loud.wav",
        song(1e37 * noise(SAMPLES)),
        "its stems overflow: its samples are far beyond ±1, make it quieter",
    ),
    Case(
        "surround.wav",
        song(noise(SAMPLES, 6)),
        "it has 6 channels: mix it down to stereo first, or let `--downmix` do so",
    ),
    Case("slow.wav", header_with_rate(3), "its sample rate of 3 Hz is none of sound (1 kHz to 1 MHz): export it again"),
    Case(
        "fast.wav",
        header_with_rate(4_000_000),
        "its sample rate of 4000000 Hz is none of sound (1 kHz to 1 MHz): export it again",
    ),
    Case("circle.wav", link_to_itself, "Too many levels of symbolic links"),
    Case("dangling.wav", lambda path: path.symlink_to("nowhere.wav"), "No such file or directory"),
    Case(
        "n" * 246 + ".wav",
        song(),
        "its stems' names would have 257 bytes, and a file system takes 255: shorten it",
    ),
    # All is well with the following, strange as they are.
    well("n" * 244 + ".wav", song()),
    well("one_sample.wav", song(torch.full((2, 1), 0.5))),
    well("silence.wav", song(torch.zeros(2, SAMPLES))),
    well("constant.wav", song(torch.full((2, SAMPLES), 0.5))),
    well("square.wav", song(SQUARE, subtype="PCM_16")),
    well("telephone.wav", song(rate_hz=8_000)),
    well("studio.wav", song(rate_hz=192_000)),
    well("mono_96k.wav", song(music(SAMPLES, channels=1), rate_hz=96_000)),
    well("with some spaces.wav", song()),
    well("Füße 歌 🎵.wav", song()),
    well("two\nlines.wav", song()),
    well("-t.wav", song()),
    well("[bold]markup[red].wav", song()),
    well(os.fsdecode(b"not \xff utf-8.wav"), song()),
    well("old_tag.mp3", old_tag),
    well("joined.aac", joined),
    well("from_a_pipe.flac", without_length),
    Case("twice.wav", collide, None, ("twice.flac_vocals.wav", "twice.wav_vocals.wav"), 0),
    Case("folder.wav", Path.mkdir, None, (), 0),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model"))


told = []  # what the runs of a test wrote to stderr, and their exit codes


@pytest.fixture(autouse=True)
def row(record_property, tmp_path, caplog):
    """What the table shows of a test."""
    told.clear()
    yield
    notes = "".join(f"note: {record.getMessage()}\n" for record in caplog.get_records("call"))
    record_property("told", [(notes + errors.replace(f"{tmp_path}/", ""), code) for errors, code in told])


def run(*arguments):
    """The exit code, as a user's shell gets it."""
    errors = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stderr(errors):
        patch.setattr(sys, "argv", ["inference.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            demixer.errors.run(demix.main)
    sys.stderr.write(errors.getvalue())
    told.append((errors.getvalue(), ended.value.code))
    return ended.value.code


def separate(folder, model, *more):
    return run("-i", folder / "in", "-o", folder / "out", "-c", model, "-d", "cpu", "-t", "vocals", *more)


def stems(folder):
    return {path.name for path in (folder / "out").iterdir() if path.name != MANIFEST_NAME}


def name_of(case):
    return case.name if len(case.name) < 40 else f"a name of {len(case.name)} characters"


@pytest.mark.parametrize("case", CASES, ids=name_of)
def test_a_bad_song_costs_one_line_and_no_other_song(tmp_path, model, capsys, case):
    write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    bad = tmp_path / "in" / case.name
    case.make(bad)
    code = separate(tmp_path, model)
    captured = capsys.readouterr()
    expected = "" if case.line is None else f"{case.kind}: `{bad}`: {case.line}\n"
    assert captured.err == expected
    assert code == case.code
    assert stems(tmp_path) == {"good_vocals.wav", *case.stems}
    assert read(tmp_path / "out" / "good_vocals.wav").shape == (2, SAMPLES)


def test_a_damaged_song_fails_where_that_is_asked_for(tmp_path, model, capsys):
    write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    bad = tmp_path / "in" / "truncated.flac"
    cut(song(noise(400_000, 1), subtype=None), 0.9)(bad)
    assert separate(tmp_path, model, "--strict") == 1
    reason = "it is damaged (flac decoder lost sync), which `--strict` takes for a failure"
    assert capsys.readouterr().err == f"error: `{bad}`: {reason}\n"
    assert stems(tmp_path) == {"good_vocals.wav"}


def test_a_file_of_the_user_in_the_place_of_a_stem(tmp_path, model, capsys):
    good = write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    mine = write_song(tmp_path / "out" / "good_vocals.wav", music(10))
    assert separate(tmp_path, model) == 0
    told = f"`{mine}` is kept: this program did not write it (--overwrite replaces it)"
    assert capsys.readouterr().err == f"note: `{good}`: {told}\n"
    assert read(mine).shape == (2, 10)


def test_a_folder_in_the_place_of_a_stem(tmp_path, model, capsys):
    good = write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    (tmp_path / "out" / "good_vocals.wav" / "mine").mkdir(parents=True)
    assert separate(tmp_path, model) == 0
    assert "is kept: this program did not write it" in capsys.readouterr().err
    assert separate(tmp_path, model, "--overwrite") == 1
    assert capsys.readouterr().err == f"error: `{good}`: its stems cannot be written: Is a directory\n"
    assert (tmp_path / "out" / "good_vocals.wav" / "mine").is_dir()


def test_an_input_in_the_place_of_a_stem(tmp_path, model, capsys):
    good = write_song(tmp_path / "good.wav", music(SAMPLES))
    other = write_song(tmp_path / "good_vocals.wav", music(SAMPLES))
    assert run(good, other, "-o", tmp_path, "-c", model, "-t", "vocals", "-d", "cpu", "--overwrite") == 1
    reason = f"a stem of it would take the place of the input `{other}`: choose another folder (-o)"
    assert capsys.readouterr().err == f"error: `{good}`: {reason}\n"


@pytest.mark.parametrize(("name", "rate_hz"), [("ogg", 384_000), ("mp3", 96_000), ("m4a", 192_000)])
def test_a_rate_that_the_format_cannot_hold(tmp_path, model, capsys, name, rate_hz):
    path = write_song(tmp_path / "in" / "studio.wav", music(SAMPLES), rate_hz)
    assert separate(tmp_path, model, "--keep-rate", "--format", name) == 1
    line = f"error: `{path}`: {name} cannot hold {rate_hz} Hz: choose another `--format`\n"
    assert capsys.readouterr().err == line


def test_silence_gives_silence(tmp_path, model):
    write_song(tmp_path / "in" / "silence.wav", torch.zeros(2, SAMPLES))
    assert separate(tmp_path, model) == 0
    assert not read(tmp_path / "out" / "silence_vocals.wav").any()


# Where nothing can be begun


def error(capsys):
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err.removesuffix("\n")


def test_no_such_file(tmp_path, model, capsys):
    assert separate(tmp_path, model) == 2
    assert error(capsys) == f"error: cannot read `{tmp_path / 'in'}`: No such file or directory"


def test_one_of_two_inputs_is_missing(tmp_path, model, capsys):
    good = write_song(tmp_path / "good.wav", music(SAMPLES))
    assert run("-i", tmp_path / "bad.wav", good, "-o", tmp_path / "out", "-c", model, "-t", "vocals") == 1
    assert capsys.readouterr().err == f"error: `{tmp_path / 'bad.wav'}`: No such file or directory\n"
    assert stems(tmp_path) == {"good_vocals.wav"}


def test_a_folder_without_audio(tmp_path, model, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("la")
    assert separate(tmp_path, model) == 2
    assert error(capsys).startswith(f"error: no audio file in `{tmp_path / 'in'}`: known are .3gp .aac")


def test_songs_of_one_name_in_two_folders(tmp_path, model, capsys):
    paths = [write_song(tmp_path / name, music(SAMPLES)) for name in ("a/song.wav", "b/song.wav", "good.wav")]
    assert run("-i", *paths, "-o", tmp_path / "out", "-c", model, "-t", "vocals", "-d", "cpu") == 1
    reason = "another input's stems have the same names: rename it, or give it a folder of its own"
    assert capsys.readouterr().err == "".join(f"error: `{path}`: {reason}\n" for path in paths[:2])
    assert stems(tmp_path) == {"good_vocals.wav"}


def typed(value):
    return " ".join(value) if isinstance(value, list) else ""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["-o", "out"], "name a song or a folder: SONG, or -i SONG"),
        (["-i", "-song.wav", "-o", "out"], "argument -i/--in-path: expected at least one argument"),
        (
            ["-i", "x", "-o", "out", "--format", "wma"],
            "`format` (='wma') must be one of wav16, wav24, wav32f, flac, mp3, ogg",
        ),
        (
            ["-i", "x", "-o", "out", "--format", "mp3", "--bitrate", "9"],
            "`--bitrate` (=9) must lie in 64 … 320 kbit/s for mp3",
        ),
        (["-i", "x", "-o", "out", "--bitrate", "128"], "`--bitrate` is for mp3, ogg, m4a and opus: wav loses nothing"),
        (["-i", "x", "-o", "out", "--shifts", "many"], "argument --shifts: invalid int value: 'many'"),
        (["-i", "", "-o", "out"], "argument -i/--in-path: the name is empty"),
        (
            ["-i", "x", "--name", "{track}_{steem}"],
            "`name` (='{track}_{steem}') has the field 'steem': known are track,",
        ),
        (["-i", "x", "--name", "../{track}_{stem}"], "`name` (='../{track}_{stem}') must name a file below the output"),
        (["-i", "x", "--name", "{track"], "`name` (='{track'): expected '}' before end of string"),
        (["-i", "x", "-o", "out", "--two-stems", "vocals", "-t", "bass"], "`--two-stems` names the stem to write"),
    ],
    ids=typed,
)
def test_wrong_arguments(capsys, arguments, line):
    assert run(*arguments) == 2
    assert error(capsys).startswith(f"error: {line}")


@pytest.mark.parametrize(
    ("more", "line"),
    [
        (["-d", "cuda:99"], "`device` (='cuda:99') is not present here"),
        (["-d", "abacus"], "`device` (='abacus') is not present here"),
        (["-t", "kazoo"], "the model has no target kazoo: it separates vocals, drums, bass, other"),
        (["--shifts", "0"], "`audio_params.shifts` (=0) must lie in 1 … 32"),
    ],
    ids=typed,
)
def test_what_the_machine_or_the_model_does_not_have(tmp_path, model, capsys, more, line):
    write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    assert separate(tmp_path, model, *more) == 2
    assert error(capsys).startswith(f"error: {line}")


def test_a_file_in_place_of_the_output_folder(tmp_path, model, capsys):
    write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    (tmp_path / "out").write_text("mine")
    assert separate(tmp_path, model) == 2
    line = f"error: cannot write to the folder `{tmp_path / 'out'}`: it is a file: choose another (-o)"
    assert error(capsys) == line
    assert (tmp_path / "out").read_text() == "mine"


def test_an_output_folder_that_cannot_be_written_to(tmp_path, model, capsys):
    write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    if os.getuid() == 0:  # whom no permission stops, but the kernel's own folders do
        assert run("-i", tmp_path / "in", "-o", "/proc/stems", "-c", model, "-d", "cpu") == 2
        reason = "No such file or directory: choose another (-o)"
        assert error(capsys) == f"error: cannot write to the folder `/proc/stems`: {reason}"
    else:
        (tmp_path / "out").mkdir(mode=0o555)
        assert separate(tmp_path, model) == 2
        line = f"error: cannot write to the folder `{tmp_path / 'out'}`: Permission denied: choose another (-o)"
        assert error(capsys) == line


@pytest.fixture
def small_disk():
    """No file may grow beyond 100 kB: what a full disk does to whoever writes."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--format", "wav32f"], "its stems cannot be written (System error): is the disk full?"),
        (["--format", "flac", "--clip", "clamp"], "its stems cannot be written (System error): is the disk full?"),
        (["--format", "wav16"], "its stems cannot be written (System error): is the disk full?"),
    ],
    ids=lambda value: "a full disk " + " ".join(value) if isinstance(value, list) else "",
)
def test_a_full_disk(tmp_path, model, capsys, small_disk, options, line):
    write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    write_song(tmp_path / "in" / "long.wav", noise(20_000, 1).repeat(1, 4)[:, :60_000], subtype="ULAW")
    assert separate(tmp_path, model, *options) == 1
    assert capsys.readouterr().err == f"error: `{tmp_path / 'in' / 'long.wav'}`: {line}\n"
    assert len(stems(tmp_path)) == 1


# Models


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def cut_weights(folder, part):
    weights = folder / WEIGHTS_NAME
    weights.write_bytes(weights.read_bytes()[: int(weights.stat().st_size * part)])


def other_weights(change):
    def make(folder):
        weights = build_network(TINY_HPARAMS).state_dict()
        change(weights)
        write_weights(folder / WEIGHTS_NAME, weights)

    return make


def replace_hparams(**changes):
    return lambda folder: write_hparams(folder, {**TINY_HPARAMS, **changes})


def pickle_checkpoint(folder):
    (folder / WEIGHTS_NAME).unlink()
    (folder / "weights").mkdir()
    (folder / "weights" / "last.ckpt").write_bytes(pickle.dumps({"state_dict": Bomb(folder / "ran")}, protocol=2))


def torch_checkpoint(folder):
    (folder / WEIGHTS_NAME).unlink()
    (folder / "weights").mkdir()
    torch.save({"state_dict": {}, "hyper_parameters": Bomb(folder / "ran")}, folder / "weights" / "last.ckpt")


def python_yaml(folder):
    (folder / HPARAMS_NAME).write_text(f"targets: !!python/object/apply:pathlib.Path.touch [{folder / 'ran'}]\n")


def circle_of_models(folder):
    (folder / WEIGHTS_NAME).unlink()
    (folder / WEIGHTS_NAME).symlink_to(folder / WEIGHTS_NAME)


MODELS = {
    "missing": (lambda folder: None, "no model at"),
    "no weights": (lambda folder: (folder / WEIGHTS_NAME).unlink(), "holds no weights"),
    "no settings": (lambda folder: (folder / HPARAMS_NAME).unlink(), "needs the hparams.yaml"),
    "empty": (lambda folder: cut_weights(folder, 0), "cannot read the weights"),
    "truncated": (lambda folder: cut_weights(folder, 0.7), "cannot read the weights"),
    "text for weights": (lambda folder: (folder / WEIGHTS_NAME).write_text("la" * 99), "cannot read the weights"),
    "missing keys": (other_weights(lambda weights: weights.popitem()), "do not fit the network"),
    "a weight that is no number": (
        other_weights(lambda weights: next(iter(weights.values())).fill_(float("nan"))),
        "are damaged: 1 of ",
    ),
    "weights beyond what 16 bits hold": (
        other_weights(lambda weights: next(iter(weights.values())).fill_(1e6)),
        "hold infinite values or NaN",
    ),
    "further keys": (other_weights(lambda weights: weights.update(x=torch.zeros(1))), "do not fit the network"),
    "another architecture": (
        replace_hparams(model={"features": 8, "repeats": 1}),
        "do not fit the network",
    ),
    "a network larger than memory": (
        replace_hparams(model={"features": 1_000_000, "repeats": 1}),
        "do not fit the network",
    ),
    "a network larger than any": (replace_hparams(model={"features": 10**14, "repeats": 1}), "describe no network"),
    "a network of less than nothing": (replace_hparams(model={"features": -1, "repeats": 1}), "describe no network"),
    "another program's": (
        lambda folder: save_file({"conv.weight": torch.zeros(3)}, folder / WEIGHTS_NAME),
        "their keys begin conv.weight",
    ),
    "unknown setting": (replace_hparams(model={"features": 4, "layers": 1}), "describe no network"),
    "no audio_params of ours": (replace_hparams(audio_params={"overlap": 2}), "has no setting"),
    "a class to instantiate": (
        replace_hparams(model={"_target_": "pathlib.Path.touch", "self": "ran"}),
        "describe no network",
    ),
    "windows that are no numbers": (
        replace_hparams(audio_params={"window_seconds": "3 s"}),
        "`audio_params.window_seconds` (='3 s') must be of type float",
    ),
    "names that lead elsewhere": (replace_hparams(targets=["../../vocals", "b", "c", "d"]), "has impossible names"),
    "twice the same target": (replace_hparams(targets=["vocals", "vocals", "b", "c"]), "has impossible names"),
    "no targets": (replace_hparams(targets=[]), "has impossible names"),
    "a sample rate of 0 Hz": (
        replace_hparams(featurizer={**TINY_HPARAMS["featurizer"], "sample_rate_hz": 0}),
        "describe no network",
    ),
    "settings that are a list": (lambda folder: (folder / HPARAMS_NAME).write_text("- a\n"), "as a mapping"),
    "settings that run": (python_yaml, "cannot read the model's settings"),
    "a pickle that runs": (pickle_checkpoint, "refused"),
    "a checkpoint that runs": (torch_checkpoint, "refused"),
    "a circle of links": (circle_of_models, "holds no weights"),
}


@pytest.mark.parametrize("name", MODELS, ids="a model: {}".format)
def test_a_bad_model_costs_one_line_and_runs_nothing(tmp_path, capsys, name):
    make, line = MODELS[name]
    folder = write_tiny_model(tmp_path / "model")
    make(folder)
    write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    code = separate(tmp_path, tmp_path / "nothing" if name == "missing" else folder)
    message = error(capsys)
    assert message.startswith("error: ")
    assert line in message
    assert "Traceback" not in message
    assert str(tmp_path) in message
    assert code == 2
    assert not (folder / "ran").exists()
    assert not (tmp_path / "out").exists()


# Where the system refuses: the commands beside demix


def place_of(kind, folder):
    """Somewhere that cannot be written to."""
    if kind == "below a file":
        (folder / "file").write_text("mine")
        return folder / "file" / "out"
    return Path("/proc/out")  # where nobody makes a folder


def told_by(command, *arguments):
    errors = io.StringIO()
    with contextlib.redirect_stderr(errors), pytest.raises(SystemExit) as ended:
        demixer.errors.run(lambda: command.main([*map(str, arguments)]))
    return errors.getvalue(), ended.value.code


@pytest.mark.parametrize("kind", ["below a file", "in a folder of the system"])
@pytest.mark.parametrize("command", ["convert", "export", "download", "evaluate"])
def test_a_place_that_cannot_be_written_to_is_a_line(tmp_path, model, monkeypatch, command, kind):
    place = place_of(kind, tmp_path)
    monkeypatch.setattr("demixer.separation.onnx_export.trace", lambda *_: ModelProgram())
    arguments = {
        "convert": (convert, model, place),
        "export": (export, model, place / "x.onnx"),
        "download": (download, "bsrnn-opt", "-o", place),
        "evaluate": (evaluate, "-d", model, "-o", place, "-i", tmp_path),
    }
    line, code = told_by(*arguments[command])
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert str(place.parent if kind == "below a file" else place) in line
    assert code == 2


class ModelProgram:
    """In place of an export, which takes seconds; it fills no disk, since the place is refused before."""

    class model:  # noqa: N801
        metadata_props: ClassVar[dict] = {}


def test_what_a_library_raises_as_an_os_error_keeps_its_traceback():
    def fault():
        raise OSError("no number of the system's")

    with pytest.raises(OSError, match="no number"):
        demixer.errors.run(fault)


# A device with too little memory


def tight_separator(windows_that_fit):
    def network(windows):
        if len(windows) > windows_that_fit:
            raise torch.OutOfMemoryError
        return windows.unsqueeze(1)

    params = AudioParams(window_seconds=0.02, hop_seconds=0.01, batch_size=8)
    return Separator(network, ["vocals"], 44_100, params, torch.device("cpu"))


def test_a_device_with_memory_for_two_windows(tmp_path, monkeypatch, capsys, caplog):
    write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    write_song(tmp_path / "in" / "long.wav", music(9 * SAMPLES))
    monkeypatch.setattr(Separator, "from_pretrained", lambda *_: tight_separator(2))
    assert separate(tmp_path, None) == 0
    assert caplog.messages == [
        "`cpu` ran out of memory: it computes 2 windows at once from now on, not 8, to the same stems"
    ]
    assert capsys.readouterr().err == ""
    assert snr_db(music(9 * SAMPLES), read(tmp_path / "out" / "long_vocals.wav")) > 100


def test_a_device_without_memory_for_one_window(tmp_path, monkeypatch, capsys):
    write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    monkeypatch.setattr(Separator, "from_pretrained", lambda *_: tight_separator(0))
    assert separate(tmp_path, None) == 1
    reason = "`cpu` has not enough memory for a window of 882 samples"
    assert capsys.readouterr().err.startswith(f"error: `{tmp_path / 'in' / 'good.wav'}`: {reason}")
    assert stems(tmp_path) == set()


# In a terminal of its own


def test_a_child_process_prints_the_same_line(tmp_path, model, run_script):
    write_song(tmp_path / "in" / "good.wav", music(SAMPLES))
    (tmp_path / "in" / "two\nlines \x1b[31m.mp3").write_text("no song")
    result = run_script("inference", "-i", "in", "-o", "out", "-c", model, "-d", "cpu", "-t", "vocals")
    assert result.returncode == 1
    assert result.stderr == f"error: `in/two\\nlines \\x1b[31m.mp3`: {NOT_AUDIO}\n"
    assert stems(tmp_path) == {"good_vocals.wav"}
