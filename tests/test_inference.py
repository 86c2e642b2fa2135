"""Song files to stem files: names, length, level, formats, and what happens on a second run or an interrupted one."""

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from demixer import AudioParams, Separator
from demixer.audio import FORMATS, open_streams, read_tags
from demixer.commands import demix
from demixer.errors import UserError
from demixer.model.separation_network import SeparationNetwork
from demixer.songs.catalogue import separate_catalogue
from demixer.songs.finding import find_songs
from demixer.songs.manifest import MANIFEST_NAME
from demixer.songs.options import Options
from demixer.songs.separating import separate_song
from tests.conftest import PROJECT_DIR
from tests.song_files import (
    TARGETS,
    decoded,
    encode,
    music,
    noise,
    read,
    share_separator,
    snr_db,
    write_song,
    write_tiny_bank,
    write_tiny_model,
)

SHARES = {"vocals": 0.7, "other": 0.3}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_tiny_model(tmp_path_factory.mktemp("model"))


def separate(inputs, output_dir, shares=SHARES, dry_run=False, **options):
    """The whole path with a separator whose stems are known."""
    inputs = [inputs] if isinstance(inputs, Path) else inputs
    return separate_catalogue(inputs, output_dir, share_separator(shares), Options(**options), dry_run=dry_run)


def names(folder):
    """Of all files but the manifests."""
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(str(path) for path in files if path.name != MANIFEST_NAME)


# The script


def test_the_script_writes_all_targets_of_the_model(tmp_path, run_script, model):
    write_song(tmp_path / "song.wav", music(30_000))
    result = run_script("inference", "-i", "song.wav", "-o", "out", "-c", model, "-d", "cpu")
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "1 separated" in result.stdout
    assert names(tmp_path / "out") == sorted(f"song_{target}.wav" for target in TARGETS)
    for target in TARGETS:
        info = soundfile.info(tmp_path / "out" / f"song_{target}.wav")
        assert (info.samplerate, info.channels, info.frames) == (44100, 2, 30_000)


def test_targets_are_chosen(tmp_path, model):
    write_song(tmp_path / "song.wav", music(5_000))
    arguments = ["-i", tmp_path / "song.wav", "-o", tmp_path / "out", "-c", model, "-t", "vocals", "bass", "-d", "cpu"]
    assert demix.main([*map(str, arguments)]) == 0
    assert names(tmp_path / "out") == ["song_bass.wav", "song_vocals.wav"]


@pytest.mark.parametrize("choice", [["-t", "bass", "drums"], ["--two-stems", "bass"]])
@pytest.mark.parametrize("write", [write_tiny_model, write_tiny_bank])
def test_what_nobody_asked_for_is_not_computed(tmp_path, monkeypatch, write, choice):
    """Of several networks, and of one network's masks; what is computed is the same as among all."""
    model, song = write(tmp_path / "model"), music(20_000)
    write_song(tmp_path / "song.wav", song)
    whole = Separator.from_pretrained(model, "cpu")(song)
    computed, estimate = set(), SeparationNetwork.estimate_spectra

    def watched(network, mixture):
        spectra = estimate(network, mixture)
        assert spectra.shape[1] == len(network.targets)
        computed.update(network.targets)
        return spectra

    monkeypatch.setattr(SeparationNetwork, "estimate_spectra", watched)
    arguments = ["-i", tmp_path / "song.wav", "-o", tmp_path / "out", "-c", model, "-d", "cpu", *choice]
    assert demix.main([*map(str, arguments)]) == 0
    asked = {"bass", "drums"} if "-t" in choice else {"bass"}
    assert computed == asked
    for target in asked:
        assert np.abs(read(tmp_path / "out" / f"song_{target}.wav") - whole[target].numpy()).max() < 1e-6


def test_the_script_gives_what_the_separator_gives(tmp_path, model):
    song = music(40_000)
    write_song(tmp_path / "song.wav", song)
    arguments = ["-i", tmp_path / "song.wav", "-o", tmp_path / "out", "-c", model, "-d", "cpu", "--shifts", "2"]
    assert demix.main([*map(str, arguments)]) == 0
    separator = Separator.from_pretrained(model, "cpu")
    separator.audio_params = replace(separator.audio_params, shifts=2)
    for target, stem in separator(song).items():
        assert np.abs(read(tmp_path / "out" / f"song_{target}.wav") - stem.numpy()).max() < 1e-6


# Length, level, rate, channels


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_stems_are_as_long_as_the_song(tmp_path, rate_hz, channels):
    length = rate_hz // 2 + 1
    path = write_song(tmp_path / "song.wav", music(length, rate_hz, channels), rate_hz)
    assert separate(path, tmp_path / "out") == 0
    for target, share in SHARES.items():
        samples, written_hz = soundfile.read(tmp_path / "out" / f"song_{target}.wav", always_2d=True)
        assert written_hz == 44_100
        assert samples.shape == (math.ceil(length * 44_100 / rate_hz), channels)
        assert snr_db(share * music(len(samples), channels=channels)[:, 300:-300], samples.T[:, 300:-300]) > 40


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("extra", [1, 2, 6])
def test_keep_rate(tmp_path, rate_hz, extra):
    song = music(rate_hz // 2 + extra, rate_hz)
    path = write_song(tmp_path / "song.wav", song, rate_hz)
    assert separate(path, tmp_path / "out", keep_rate=True) == 0
    samples, written_hz = soundfile.read(tmp_path / "out" / "song_vocals.wav")
    assert written_hz == rate_hz
    assert samples.shape == (rate_hz // 2 + extra, 2)
    assert snr_db(0.7 * song[:, 300:-300], samples.T[:, 300:-300]) > 40


def test_stems_do_not_depend_on_the_blocks_that_are_read(tmp_path, model):
    """With a real network, and a rate that is resampled both ways."""
    path = write_song(tmp_path / "song.wav", music(60_000, 48_000), 48_000)
    separator = Separator.from_pretrained(model, "cpu")
    stems = {}
    for block in (1 << 18, 10_007, 997):
        (song,), _ = find_songs([path], tmp_path / str(block), ["vocals"], ".wav")
        options = Options(targets=["vocals"], keep_rate=True)
        assert separate_song(song, separator, options, block_samples=block).notes == ()
        stems[block] = read(song.outputs["vocals"])
    for block in (10_007, 997):
        assert np.abs(stems[block] - stems[1 << 18]).max() < 1e-5


def test_progress_adds_up_to_the_length_of_the_song(tmp_path):
    path = write_song(tmp_path / "song.wav", music(44_100))
    (song,), _ = find_songs([path], tmp_path / "out", SHARES, ".wav")
    told = []

    def begin(seconds):
        assert seconds == 1.0
        return told.append

    separate_song(song, share_separator(SHARES), Options(), begin)
    assert len(told) > 2
    assert sum(told) == pytest.approx(1.0)


# Folders and names


def test_folders_are_repeated_in_the_output(tmp_path):
    for name in ("a.wav", "album/b.flac", "album/disc 2/c.ogg", "album/cover.txt", ".hidden/d.wav", "album/._b.flac"):
        kind = None if name.endswith(("ogg", "flac")) else "FLOAT"
        write_song(tmp_path / "in" / name, music(2_000), subtype=kind) if "txt" not in name else None
    assert separate(tmp_path / "in", tmp_path / "out", targets=["vocals"]) == 0
    assert names(tmp_path / "out") == ["a_vocals.wav", "album/b_vocals.wav", "album/disc 2/c_vocals.wav"]


def test_several_inputs(tmp_path):
    paths = [write_song(tmp_path / "in" / f"{name}.wav", music(1_000)) for name in "ab"]
    assert separate([*paths, paths[0]], tmp_path / "out", targets=["vocals"]) == 0
    assert names(tmp_path / "out") == ["a_vocals.wav", "b_vocals.wav"]


def test_songs_of_one_name_keep_their_suffix(tmp_path):
    write_song(tmp_path / "in" / "song.wav", music(1_000))
    write_song(tmp_path / "in" / "song.flac", music(2_000), subtype=None)
    assert separate(tmp_path / "in", tmp_path / "out", targets=["vocals"]) == 0
    assert names(tmp_path / "out") == ["song.flac_vocals.wav", "song.wav_vocals.wav"]
    assert read(tmp_path / "out" / "song.flac_vocals.wav").shape[1] == 2_000


@pytest.mark.parametrize("out", [".", "stems"])
def test_stems_in_the_folder_of_the_songs_are_not_taken_for_songs(tmp_path, capsys, out):
    write_song(tmp_path / "song.wav", music(1_000))
    for _ in range(2):
        assert separate(tmp_path, tmp_path / out) == 0
    assert names(tmp_path / out)[:2] == (["song.wav"] * (out == ".") + ["song_other.wav", "song_vocals.wav"])[:2]
    assert len(list(tmp_path.rglob("*.wav"))) == 3
    assert "0 separated, 1 were complete" in capsys.readouterr().out


def test_a_circle_of_links_is_walked_once(tmp_path):
    write_song(tmp_path / "in" / "album" / "song.wav", music(1_000))
    (tmp_path / "in" / "album" / "again").symlink_to(tmp_path / "in", target_is_directory=True)
    assert separate(tmp_path / "in", tmp_path / "out", targets=["vocals"]) == 0
    assert names(tmp_path / "out") == ["album/song_vocals.wav"]


# Running again


def test_what_is_complete_is_skipped_unless_overwritten(tmp_path, capsys):
    path = write_song(tmp_path / "song.wav", music(1_000))
    stem = tmp_path / "out" / "song_vocals.wav"
    assert separate(path, tmp_path / "out") == 0
    written = stem.stat().st_ino
    assert separate(path, tmp_path / "out") == 0
    assert stem.stat().st_ino == written
    assert "0 separated, 1 were complete (--overwrite separates them again)" in capsys.readouterr().out
    assert separate(path, tmp_path / "out", overwrite=True) == 0
    assert stem.stat().st_ino != written
    assert read(stem).shape == (2, 1_000)


def test_a_song_with_a_missing_stem_is_separated_again(tmp_path):
    path = write_song(tmp_path / "song.wav", music(1_000))
    separate(path, tmp_path / "out")
    (tmp_path / "out" / "song_other.wav").unlink()
    separate(path, tmp_path / "out")
    assert names(tmp_path / "out") == ["song_other.wav", "song_vocals.wav"]


def test_dry_run_lists_what_would_be_written_and_writes_nothing(tmp_path, capsys):
    write_song(tmp_path / "in" / "a.wav", music(1_000))
    assert separate(tmp_path / "in", tmp_path / "out", dry_run=True, format="flac") == 0
    out = tmp_path / "out"
    song = tmp_path / "in" / "a.wav"
    assert capsys.readouterr().out.splitlines() == [f"new: {song} → {out}/a_vocals.flac, {out}/a_other.flac"]
    assert not out.exists()


SLOW = """
import runpy, sys, time
sys.path.insert(0, {source!r})
from demixer.separation.separator import Separator
def network(windows):
    print("begun", flush=True)
    time.sleep(0.3)
    return windows.unsqueeze(1)
Separator.from_pretrained = lambda *_, **__: Separator(network, ["vocals"], 44100)
sys.argv = ["inference.py", "-i", {song!r}, "-o", {out!r}]
runpy.run_path({source!r} + "/inference.py", run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_nothing_half_written(tmp_path, number):
    song = write_song(tmp_path / "song.wav", torch.zeros(1, 60 * 44_100))
    code = SLOW.format(source=str(PROJECT_DIR / "src"), song=str(song), out=str(tmp_path / "out"))
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # the tests themselves may run under nohup
    )
    assert process.stdout.readline() == "begun\n"
    time.sleep(0.1)
    assert list((tmp_path / "out").iterdir()), "the test interrupts too early"
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 128 + number
    assert errors == "interrupted\n"
    assert list((tmp_path / "out").iterdir()) == []


def test_a_closed_terminal_ends_nothing_under_nohup(tmp_path):
    song = write_song(tmp_path / "song.wav", torch.zeros(1, 5 * 44_100))
    code = SLOW.format(source=str(PROJECT_DIR / "src"), song=str(song), out=str(tmp_path / "out"))
    command = ["nohup", sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout.readline() == "begun\n"
        os.kill(process.pid, signal.SIGHUP)
        process.communicate()
    assert process.returncode == 0
    assert names(tmp_path / "out") == ["song_vocals.wav"]


def test_a_reader_who_has_seen_enough_is_no_error(tmp_path, model):
    """``inference.py --dry-run | head -1``"""
    for number in range(3):
        write_song(tmp_path / "in" / f"{number}.wav", music(10))
    script = [sys.executable, PROJECT_DIR / "src" / "inference.py"]
    command = [*script, "-i", tmp_path / "in", "-o", tmp_path / "out", "-c", model, "-d", "cpu", "--dry-run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


@pytest.mark.parametrize(("stdout", "code", "line"), [(None, 141, ""), ("/dev/full", 2, "No space left on device")])
def test_where_nobody_can_be_told_no_song_has_failed(tmp_path, model, stdout, code, line):
    """``inference.py | head -1`` and ``> list.txt`` on a full disk: stems that were there were recorded as failed."""
    for number in range(2):
        write_song(tmp_path / "in" / f"{number}.wav", music(10))
    command = [sys.executable, PROJECT_DIR / "src" / "inference.py", "in", "-o", "out", "-c", model, "-d", "cpu"]
    with Path(stdout).open("w") if stdout else closed_pipe() as listed:
        result = subprocess.run(command, cwd=tmp_path, stdout=listed, stderr=subprocess.PIPE, text=True)
    assert line in result.stderr
    assert "stems cannot be written" not in result.stderr
    assert result.returncode == code
    entries = [json.loads(line) for line in (tmp_path / "out" / MANIFEST_NAME).read_text().splitlines()]
    assert [entry["state"] for entry in entries] == ["done"]


def closed_pipe():
    """The end to write to of a pipe that nobody reads."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    return os.fdopen(write_end, "w")


# While it computes


def meanwhile(act, **options):
    """A separator that does something else as well, once it computes; its target is the mixture."""
    acts = [act]

    def network(windows):
        while acts:
            acts.pop()()
        return windows.unsqueeze(1)

    return Separator(network, ["vocals"], 44_100, AudioParams(window_seconds=0.3, hop_seconds=0.2, **options))


def test_a_song_that_is_deleted_meanwhile(tmp_path, capsys):
    song = write_song(tmp_path / "song.wav", music(60_000))
    assert separate_catalogue([song], tmp_path / "out", meanwhile(song.unlink), Options()) == 0
    assert snr_db(music(60_000), read(tmp_path / "out" / "song_vocals.wav")) > 100
    assert capsys.readouterr().err == ""


def test_a_song_that_is_cut_short_meanwhile(tmp_path, capsys):
    song = write_song(tmp_path / "song.wav", music(700_000))  # three blocks
    separator = meanwhile(lambda: os.truncate(song, 1_000_000))
    assert separate_catalogue([song], tmp_path / "out", separator, Options()) == 3
    assert capsys.readouterr().err.startswith(f"note: `{song}`: it is damaged (its header tells of 15.9 s)")


def test_an_output_folder_that_is_deleted_meanwhile(tmp_path, capsys):
    songs = [write_song(tmp_path / f"{name}.wav", music(60_000)) for name in "ab"]
    separator = meanwhile(lambda: shutil.rmtree(tmp_path / "out"))
    assert separate_catalogue(songs, tmp_path / "out", separator, Options()) == 1
    assert capsys.readouterr().err == f"error: `{songs[0]}`: its stems cannot be written: No such file or directory\n"
    assert names(tmp_path / "out") == ["b_vocals.wav"]


def test_another_run_into_the_same_folder_meanwhile(tmp_path, capsys):
    song = write_song(tmp_path / "song.wav", music(60_000))
    other = meanwhile(lambda: None)
    separator = meanwhile(lambda: separate_catalogue([song], tmp_path / "out", other, Options()))
    assert separate_catalogue([song], tmp_path / "out", separator, Options()) == 0
    assert names(tmp_path / "out") == ["song_vocals.wav"]
    assert read(tmp_path / "out" / "song_vocals.wav").shape == (2, 60_000)
    captured = capsys.readouterr()
    assert "0 separated, 1 left to the process that separates them now\n" in captured.out
    assert captured.err == ""


# Formats


SUBTYPES = {"wav16": "PCM_16", "wav24": "PCM_24", "wav32f": "FLOAT", "flac": "PCM_24", "ogg": "VORBIS"}


@pytest.mark.parametrize("name", [name for name in FORMATS if not FORMATS[name].holds_all])
def test_formats(tmp_path, name):
    song = music(20_000)
    assert separate(write_song(tmp_path / "song.wav", song), tmp_path / "out", format=name) == 0
    rate_hz = 48_000 if name == "opus" else 44_100
    for target, share in SHARES.items():
        path = tmp_path / "out" / f"song_{target}{FORMATS[name].suffix}"
        samples, audio = decoded(path)
        assert name not in SUBTYPES or soundfile.info(path).subtype == SUBTYPES[name]
        assert (audio.sample_rate_hz, audio.damage) == (rate_hz, None)
        assert samples.shape == (2, math.ceil(20_000 * rate_hz / 44_100))
        assert snr_db(share * music(samples.shape[1], rate_hz)[:, 300:-300], samples[:, 300:-300]) > 25


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_two_stems_as_opus_add_up_to_the_mixture(tmp_path, rate_hz):
    """The mixture, too, is brought to Opus's only rate."""
    path = write_song(tmp_path / "song.wav", music(30_000, rate_hz), rate_hz)
    assert separate(path, tmp_path / "out", two_stems="vocals", format="opus") == 0
    stem, residual = (decoded(tmp_path / "out" / f"song_{name}.opus")[0] for name in ("vocals", "no_vocals"))
    assert stem.shape == (2, math.ceil(30_000 * 48_000 / rate_hz))
    assert snr_db(music(stem.shape[1], 48_000)[:, 300:-300], (stem + residual)[:, 300:-300]) > 25


def test_a_stem_file(tmp_path):
    """One file: the mixture, then the stems in the order that DJ programs expect."""
    shares = {"vocals": 0.1, "drums": 0.2, "bass": 0.3, "other": 0.4}
    song = music(20_000)
    path = write_song(tmp_path / "song.wav", song)
    assert separate(path, tmp_path / "out", shares, format="stem.m4a", bitrate=256) == 0
    assert names(tmp_path / "out") == ["song.stem.m4a"]
    with open_streams(tmp_path / "out" / "song.stem.m4a") as readers:
        streams = [torch.cat(list(reader.blocks(10_000)), dim=-1) for reader in readers]
    for share, stream in zip((1.0, 0.2, 0.3, 0.4, 0.1), streams, strict=True):
        assert stream.shape == song.shape
        assert snr_db(share * song, stream) > 25
    assert separate(tmp_path / "out" / "song.stem.m4a", tmp_path / "again", targets=["vocals"]) == 0
    assert names(tmp_path / "again") == ["song_vocals.wav"]


def test_a_stem_file_needs_four_stems(tmp_path):
    path = write_song(tmp_path / "song.wav", music(1_000))
    with pytest.raises(UserError, match=r"`stem\.m4a` holds 4 stems: the model separates vocals, other"):
        separate(path, tmp_path / "out", format="stem.m4a")
    with pytest.raises(UserError, match="leave `--two-stems` out"):
        Options(two_stems="vocals", format="stem.m4a")


def test_bitrates_are_checked_before_anything_is_read():
    with pytest.raises(UserError, match="must lie in 64 … 320 kbit/s for mp3"):
        Options(format="mp3", bitrate=1_000)
    with pytest.raises(UserError, match="wav loses nothing"):
        Options(bitrate=128)


@pytest.mark.parametrize("name", ["wav32f", "flac", "mp3", "m4a"])
def test_stems_have_the_tags_of_the_song(tmp_path, name):
    path = encode(tmp_path / "song.mp3", "libmp3lame", tags={"title": "Für Elise", "artist": "Ludwig"})
    assert separate(path, tmp_path / "out", targets=["vocals"], format=name) == 0
    tags = read_tags(tmp_path / "out" / f"song_vocals{FORMATS[name].suffix}")
    assert tags.texts == {"title": "Für Elise (vocals)", "artist": "Ludwig"}


@pytest.mark.parametrize(
    ("name", "subtype", "bits"), [("wav16", "PCM_16", 16), ("wav24", "PCM_24", 24), ("flac", "PCM_24", 24)]
)
@pytest.mark.parametrize("keep_rate", [False, True])
def test_two_stems_add_up_to_the_mixture_exactly(tmp_path, name, subtype, bits, keep_rate):
    """Whole numbers are compared: not one step is lost in an integer format."""
    rate_hz = 48_000 if keep_rate else 44_100
    path = write_song(tmp_path / "song.wav", noise(20_000, peak=0.8), rate_hz, subtype=subtype)
    assert separate(path, tmp_path / "out", two_stems="vocals", format=name, keep_rate=keep_rate) == 0
    suffix = FORMATS[name].suffix
    assert names(tmp_path / "out") == [f"song_no_vocals{suffix}", f"song_vocals{suffix}"]
    whole = [np.rint(read(file) * 2 ** (bits - 1)) for file in (path, *sorted((tmp_path / "out").glob("song*")))]
    assert np.array_equal(whole[0], whole[1] + whole[2])
    assert keep_rate or snr_db(0.7 * whole[0], whole[2]) > 60


def test_two_stems_in_float_add_up_to_the_last_bit(tmp_path):
    path = write_song(tmp_path / "song.wav", noise(20_000))
    assert separate(path, tmp_path / "out", two_stems="vocals") == 0
    residual, stem = (read(tmp_path / "out" / f"song_{name}.wav") for name in ("no_vocals", "vocals"))
    assert np.abs(residual + stem - read(path)).max() < 2**-24


@pytest.mark.parametrize("name", ["wav16", "wav24", "flac", "mp3", "ogg"])
def test_stems_that_would_clip_are_all_made_quieter(tmp_path, capsys, name):
    song = music(30_000) * 2.5
    shares = {"vocals": 4.0 / song.abs().max().item(), "other": 0.3}
    assert separate(write_song(tmp_path / "song.wav", song), tmp_path / "out", shares, format=name) == 0
    suffix = FORMATS[name].suffix
    loud, other = (read(tmp_path / "out" / f"song_{target}{suffix}") for target in shares)
    assert 0.95 < np.abs(loud).max() <= (1.0 if FORMATS[name].bits else 1.02)  # lossy encoders overshoot a little
    assert snr_db(song * 0.3 / 4, other) > 20
    assert snr_db(song * shares["vocals"] / 4, loud) > 20
    note = f"note: `{tmp_path / 'song.wav'}`: its stems are 12.0 dB quieter, or {name} would clip\n"
    assert capsys.readouterr().err == note


def test_rescaled_residual_still_adds_up(tmp_path):
    """Without dither, which would move the loudest sample by a step."""
    song = noise(20_000, peak=0.9)
    path = write_song(tmp_path / "song.wav", song)
    options = {"two_stems": "vocals", "format": "wav16", "dither": False}
    assert separate(path, tmp_path / "out", {"vocals": -1.0}, **options) == 0
    residual, stem = (np.rint(read(tmp_path / "out" / f"song_{s}.wav") * 2**15) for s in ("no_vocals", "vocals"))
    gain = (1 - 1e-4) * 32767 / 32768 / (2 * round(0.9 * 2**15) / 2**15)
    assert np.abs(residual + stem - song.double().numpy() * gain * 2**15).max() <= 0.51
    assert np.abs(residual).max() > 32_700


def test_clamp_cuts_and_the_residual_holds_what_was_cut(tmp_path, capsys):
    song = noise(20_000, peak=0.5)
    path = write_song(tmp_path / "song.wav", song, subtype="PCM_16")
    options = {"two_stems": "vocals", "format": "wav16", "clip": "clamp"}
    assert separate(path, tmp_path / "out", {"vocals": 2.5}, **options) == 0
    mixture, residual, stem = (
        np.rint(read(file) * 2**15)
        for file in (path, tmp_path / "out" / "song_no_vocals.wav", tmp_path / "out" / "song_vocals.wav")
    )
    assert stem.max() == 2**15 - 1
    assert np.array_equal(residual + stem, mixture)
    assert "clipped: a stem is 1.9 dB too loud for wav16" in capsys.readouterr().err


def test_clip_error_gives_the_song_up_and_does_the_next(tmp_path, capsys):
    write_song(tmp_path / "in" / "a.wav", noise(20_000, peak=0.9))
    write_song(tmp_path / "in" / "b.wav", noise(20_000, peak=0.1))
    assert separate(tmp_path / "in", tmp_path / "out", {"vocals": 2.0}, format="wav16", clip="error") == 1
    assert names(tmp_path / "out") == ["b_vocals.wav"]
    assert "a stem is 5.1 dB too loud for wav16: try `--clip rescale`" in capsys.readouterr().err


def test_float_wav_never_clips(tmp_path, capsys):
    song = noise(20_000)
    path = write_song(tmp_path / "song.wav", song)
    assert separate(path, tmp_path / "out", {"vocals": 4.0}, clip="error") == 0
    assert np.abs(read(tmp_path / "out" / "song_vocals.wav")).max() == 2.0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"two_stems": "vocals", "targets": ["drums"]}, "leave `--target` out"),
        ({"format": "wma"}, "`format` \\(='wma'\\) must be one of"),
        ({"clip": "pray"}, "`clip` \\(='pray'\\) must be one of"),
    ],
)
def test_contradicting_options_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Options(**options)
