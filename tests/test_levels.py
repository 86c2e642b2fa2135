"""What becomes of levels in formats that clip or round: no second copy of a song that fits, dither, exact sums."""

import resource

import numpy as np
import pytest
import soundfile
import torch

from demixer import AudioParams, Separator
from demixer.audio import FORMATS
from demixer.errors import UserError
from demixer.songs.catalogue import separate_catalogue
from demixer.songs.dithering import Dither
from demixer.songs.finding import find_songs
from demixer.songs.levels import RESCALE_MARGIN, Leveller
from demixer.songs.manifest import MANIFEST_NAME
from demixer.songs.options import Options
from demixer.songs.separating import separate_song
from tests.song_files import music, noise, read, share_separator, write_song

INTEGERS = ("wav16", "wav24", "flac")
SHARES = {"vocals": 0.5, "drums": 0.31, "other": -0.27}


def separate(path, output_dir, shares=SHARES, separator=None, **options):
    return separate_catalogue([path], output_dir, separator or share_separator(shares), Options(**options))


def whole_numbers(path, bits):
    return np.rint(read(path) * 2 ** (bits - 1)).astype(np.int64)


# Only a song that clips is put aside


def watched_separator(folder, share, seen):
    """One target, a share of the mixture; each time it computes, it looks which files there are."""

    def network(windows):
        sounds = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
        seen.append({path.name: path.stat().st_size for path in sounds})
        return share * windows.unsqueeze(1)

    params = AudioParams(window_seconds=0.1, hop_seconds=0.1, batch_size=1)
    return Separator(network, ["vocals"], 44_100, params)


@pytest.mark.parametrize("name", ["wav16", "wav24", "flac", "mp3", "ogg"])
def test_a_song_that_fits_is_on_the_disk_once(tmp_path, name):
    path, seen = write_song(tmp_path / "song.wav", noise(120_000, peak=0.9)), []
    assert separate(path, tmp_path / "out", separator=watched_separator(tmp_path / "out", 1.0, seen), format=name) == 0
    assert len(seen) == 28  # every window once
    assert {file for files in seen for file in files} == {f"0{FORMATS[name].suffix}"}


@pytest.mark.parametrize("loud_at", [0, 50_000, 119_999])
@pytest.mark.parametrize("name", INTEGERS)
def test_a_song_that_clips_is_as_quiet_as_its_loudest_sample_asks(tmp_path, capsys, name, loud_at):
    """To the last bit what one gain of the whole song gives, wherever the loudest sample is."""
    song = noise(120_000, peak=0.4)
    song[1, loud_at] = -0.9
    path, out = write_song(tmp_path / "song.wav", song), tmp_path / "out"
    shares, kind = {"vocals": 2.0, "other": 0.25}, FORMATS[name]
    assert separate(path, out, shares, format=name, dither=False) == 0
    capsys.readouterr()
    estimates = share_separator(shares)(song)
    gain = (1 - RESCALE_MARGIN) / kind.overshoot(kind.quantise(estimates["vocals"]))
    for target in shares:
        with kind.open(tmp_path / f"once{kind.suffix}", 44_100, 2) as write:
            write(estimates[target] * gain)
        assert np.array_equal(read(out / f"song_{target}{kind.suffix}"), read(tmp_path / f"once{kind.suffix}"))


def test_what_was_before_the_first_clip_is_separated_again_and_the_rest_is_spooled(tmp_path):
    song, seen, told = noise(120_000, peak=0.4), [], []
    song[0, 60_000] = 0.9
    (song,), _ = find_songs([write_song(tmp_path / "song.wav", song)], tmp_path / "out", ["vocals"], ".wav")
    separator = watched_separator(tmp_path / "out", 2.0, seen)
    separate_song(song, separator, Options(format="wav16"), lambda seconds: told.append)
    windows = 60_000 // 4410 + 1
    assert len(seen) == 28 + windows
    assert next(i for i, files in enumerate(seen) if "spool" in files) in range(windows, windows + 3)
    assert max(files.get("spool", 0) for files in seen) <= (120_000 - 60_000 // 4410 * 4410) * 2 * 4
    assert sum(told) == pytest.approx(120_000 / 44_100)  # what is computed twice is told once


def test_a_disk_without_room_for_what_is_put_aside(tmp_path, capsys):
    path = write_song(tmp_path / "song.wav", noise(60_000))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert separate(path, tmp_path / "out", {"vocals": 4.0}, format="wav16") == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert capsys.readouterr().err == f"error: `{path}`: its stems cannot be written: File too large\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [MANIFEST_NAME]


def test_a_take_that_is_given_up_computes_no_more(tmp_path):
    """A song that clips with ``clip="error"`` ends there."""
    drawn = []

    def blocks():
        for number in range(9):
            drawn.append(number)
            yield torch.full((1, 1, 10), 0.25 * number if number != 4 else 0.99)

    takes = Leveller(Options(format="wav16", clip="error"), tmp_path / "spool").takes(blocks(), blocks)
    with pytest.raises(UserError, match=r"a stem is 1.9 dB too loud for wav16"):
        list(next(takes))
    assert drawn == [0, 1, 2, 3, 4, 5]


# Dither


@pytest.mark.parametrize("level", [0.1, 0.25, 0.5, 0.8, 100.3])
def test_dither_makes_the_error_independent_of_what_is_rounded(level):
    """Its mean is 0 and its power a quarter of a squared step: TPDF's, at any level between two steps."""
    samples = torch.full((1, 2, 200_000), level * 2.0**-15)
    error = Dither(FORMATS["wav16"]).quantise(samples) * 2.0**15 - level
    assert abs(error.double().mean().item()) < 0.005
    assert error.double().square().mean().item() == pytest.approx(0.25, abs=0.005)


def test_a_tone_below_a_step_survives_sixteen_bits(tmp_path):
    """Rounding alone leaves silence; dither leaves the tone, below a hiss."""
    tone = 0.4 * 2.0**-15 * torch.sin(torch.arange(88_200) * (2 * np.pi * 1000 / 44_100)).repeat(2, 1)
    path = write_song(tmp_path / "song.wav", tone)
    for dither, out in ((True, tmp_path / "noisy"), (False, tmp_path / "plain")):
        assert separate(path, out, {"vocals": 1.0}, format="wav16", dither=dither) == 0
    assert not read(tmp_path / "plain" / "song_vocals.wav").any()
    noisy = read(tmp_path / "noisy" / "song_vocals.wav")
    amplitude = 2 * (noisy * np.sin(np.arange(88_200) * (2 * np.pi * 1000 / 44_100))).mean(-1) * 2**15
    assert amplitude == pytest.approx([0.4, 0.4], abs=0.02)


def test_stems_and_channels_are_dithered_independently():
    noise_of = Dither(FORMATS["wav16"]).quantise(torch.full((2, 2, 100_000), 0.5 * 2.0**-15)).flatten(0, 1)
    assert (torch.corrcoef(noise_of) - torch.eye(4)).abs().max() < 0.02


@pytest.mark.parametrize("blocks", [[7, 93], [50, 50], [100]])
def test_dither_depends_on_the_place_alone(blocks):
    samples = noise(100).expand(3, 2, 100)
    dither = Dither(FORMATS["wav16"])
    parts = [dither.quantise(part) for part in samples.split(blocks, dim=-1)]
    assert torch.equal(torch.cat(parts, dim=-1), Dither(FORMATS["wav16"]).quantise(samples))


def test_equal_runs_write_equal_files(tmp_path):
    path = write_song(tmp_path / "song.wav", noise(30_000))
    for out in ("a", "b"):
        assert separate(path, tmp_path / out, format="wav16") == 0
    for target in SHARES:
        files = [(tmp_path / out / f"song_{target}.wav").read_bytes() for out in ("a", "b")]
        assert files[0] == files[1]


def test_silence_stays_digital_silence(tmp_path):
    song = noise(60_000)
    song[:, 20_000:40_000] = 0
    assert separate(write_song(tmp_path / "song.wav", song), tmp_path / "out", format="wav16") == 0
    for target in SHARES:
        assert not read(tmp_path / "out" / f"song_{target}.wav")[:, 20_000:40_000].any()


def test_dither_lifts_nothing_beyond_full_scale(tmp_path, capsys):
    song = 32767 / 32768 * noise(60_000).sign()
    assert separate(write_song(tmp_path / "song.wav", song), tmp_path / "out", {"vocals": 1.0}, format="wav16") == 0
    assert capsys.readouterr().err == ""
    stem = whole_numbers(tmp_path / "out" / "song_vocals.wav", 16)
    assert np.abs(stem - whole_numbers(tmp_path / "song.wav", 16)).max() == 1
    assert (stem == -32768).mean() == pytest.approx(1 / 16, abs=0.005)  # a negative peak may go a step further


@pytest.mark.parametrize("name", ["wav24", "flac"])
def test_finer_formats_are_rounded_without_noise(tmp_path, name):
    song = noise(30_000)
    assert separate(write_song(tmp_path / "song.wav", song), tmp_path / "out", {"vocals": 0.3}, format=name) == 0
    expected = np.rint((share_separator({"vocals": 0.3})(song)["vocals"]).double().numpy() * 2**23)
    assert np.array_equal(whole_numbers(tmp_path / "out" / f"song_vocals{FORMATS[name].suffix}", 24), expected)


# A target takes what the others leave


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("residual", SHARES)
def test_with_a_residual_all_stems_add_up_to_the_mixture_exactly(tmp_path, name, residual):
    """Whole numbers are compared: not one step is lost, though each stem is rounded (and with 16 bits, dithered)."""
    bits = FORMATS[name].bits
    path = write_song(tmp_path / "song.wav", noise(20_000, peak=0.999), subtype=f"PCM_{bits}")
    assert separate(path, tmp_path / "out", format=name, residual=residual) == 0
    stems = {
        target: whole_numbers(tmp_path / "out" / f"song_{target}{FORMATS[name].suffix}", bits) for target in SHARES
    }
    assert np.array_equal(sum(stems.values()), whole_numbers(path, bits))
    for target in {*SHARES} - {residual}:
        share = SHARES[target] * whole_numbers(path, bits)
        assert np.abs(stems[target] - share).max() <= 2


def test_with_a_residual_floats_add_up_to_the_last_bit(tmp_path):
    path = write_song(tmp_path / "song.wav", noise(20_000))
    assert separate(path, tmp_path / "out", residual="other") == 0
    stems = [read(tmp_path / "out" / f"song_{target}.wav") for target in SHARES]
    assert np.abs(sum(stems) - read(path)).max() <= 2**-25


@pytest.mark.parametrize("name", INTEGERS)
@pytest.mark.parametrize("stems", [2, 8])
def test_a_rescaled_residual_of_many_stems_adds_up_exactly(tmp_path, name, stems):
    """All others are rounded against it at once: the loudest sample of the residual must bear that."""
    bits, song = FORMATS[name].bits, noise(60_000, peak=0.9)
    shares = {f"{number}": -1.7 / (stems - 1) for number in range(1, stems)} | {"other": 1.0}
    song[:, ::3] = 0.9 - 1e-4 * noise(20_000, peak=0.9).abs()  # many samples are nearly the loudest
    path = write_song(tmp_path / "song.wav", song)
    assert separate(path, tmp_path / "out", shares, format=name, residual="other") == 0
    files = [whole_numbers(tmp_path / "out" / f"song_{target}{FORMATS[name].suffix}", bits) for target in shares]
    whole, mixture = sum(files), song.double().numpy() * 2 ** (bits - 1)
    gain = (whole * mixture).sum() / (mixture**2).sum()
    assert np.abs(whole - gain * mixture).max() < 0.52 + 2 ** (bits - 25)  # rounded once, not clipped
    assert np.abs(files[-1]).max() > 0.999 * 2 ** (bits - 1)


@pytest.mark.parametrize("others", [1, 3, 20])
def test_a_rescaled_residual_bears_that_all_others_are_rounded_the_same_way(tmp_path, others):
    """Samples are whole steps, so that the first take rounds nothing; in the second all others may lose half a step."""
    for steps in range(1000, 1200):
        block = torch.tensor([*[-float(steps)] * others, 32767.0]).view(-1, 1, 1) / 32768
        leveller = Leveller(Options(format="wav16", two_stems="vocals", dither=False), tmp_path / "spool")
        for take in leveller.takes([block], lambda block=block: [block]):
            stems = list(take)
        assert FORMATS["wav16"].overshoot(torch.cat(stems)) <= 1
        assert sum(stems[0].flatten().tolist()) * 32768 == round(32767 * leveller.gain)


def test_the_residual_itself_is_not_computed():
    options = Options(residual="drums")
    assert options.estimated(tuple(SHARES)) == ("vocals", "other")
    assert options.written(tuple(SHARES)) == ("vocals", "other", "drums")


@pytest.mark.parametrize(
    ("options", "targets", "message"),
    [
        ({"residual": "drums", "targets": ["drums"]}, SHARES, "leave `--target` out"),
        ({"residual": "drums", "two_stems": "drums"}, SHARES, "leave `--two-stems` out"),
        ({"residual": "kazoo"}, SHARES, "the model has no target kazoo: it separates vocals, drums, other"),
        ({"residual": "vocals"}, ["vocals"], "the model has no other target, try `--two-stems`"),
    ],
)
def test_residuals_that_make_no_sense_are_refused(options, targets, message):
    with pytest.raises(UserError, match=message):
        Options(**options).written(tuple(targets))


# No numbers


def test_a_model_that_gives_no_numbers_is_named_as_the_cause(tmp_path, capsys):
    """Its weights are finite, the song is an ordinary one."""
    path = write_song(tmp_path / "song.wav", music(30_000))
    separator = Separator(lambda windows: (windows * float("nan")).unsqueeze(1), ["vocals"], 44_100)
    assert separate(path, tmp_path / "out", separator=separator) == 1
    reason = "the model gives no numbers (NaN) for it: try `--precision fp32`; else the model is at fault, not the song"
    assert capsys.readouterr().err == f"error: `{path}`: {reason}\n"
    assert [path.name for path in (tmp_path / "out").iterdir()] == [MANIFEST_NAME]


def test_files_are_closed_after_a_second_take(tmp_path):
    """What was opened to separate the beginning again is closed: warnings are errors here."""
    path = write_song(tmp_path / "song.flac", noise(60_000), subtype=None)
    assert separate(path, tmp_path / "out", {"vocals": 3.0}, format="flac") == 0
    assert soundfile.info(tmp_path / "out" / "song_vocals.flac").frames == 60_000
