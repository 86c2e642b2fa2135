"""The pictures tell the truth: tones stand where they sound, levels are levels, bands tile, names do not overlap."""

import io
import struct
import subprocess
import sys
from itertools import combinations, pairwise

import matplotlib
import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import make_images
from demixer.figures import dataset
from demixer.figures.architecture import architecture
from demixer.figures.bands import band_edges_hz
from demixer.figures.methods import place_labels, read_methods
from demixer.figures.palette import COLORS, FURTHER, color, colors
from demixer.figures.sound import spectrograms, spectrum_db, spectrums, waveforms
from demixer.figures.spectrogram import height, mel_rows, paint, relative_db, spectrogram_power
from demixer.figures.style import new_figure, save
from demixer.paths import CONF_DIR, PROJECT_DIR, SRC_DIR
from demixer.sources import SOURCES
from example.compose import SAMPLE_RATE_HZ

CSV = PROJECT_DIR / "images" / "source_separation_methods.csv"
TARGETS = (*SOURCES, "all")
BAND_COUNTS = {"vocals": 41, "drums": 55, "bass": 30, "other": 41, "all": 57}


def tone(frequency_hz, seconds=1.0, amplitude=1.0):
    time = torch.arange(round(seconds * SAMPLE_RATE_HZ), dtype=torch.float64) / SAMPLE_RATE_HZ
    return amplitude * torch.sin(2 * torch.pi * frequency_hz * time).float().expand(2, -1)


def bands_hz(target):
    return yaml.safe_load((CONF_DIR / "target" / f"{target}.yaml").read_text(encoding="utf-8"))["bands_hz"]


@pytest.fixture(scope="module")
def sounds():
    generator = torch.Generator().manual_seed(0)
    stems = {name: 0.1 * torch.randn(2, SAMPLE_RATE_HZ // 2, generator=generator) for name in SOURCES}
    return {"mixture": sum(stems.values()), **stems}


@pytest.mark.parametrize("frequency_hz", [50, 1000, 16_000])
@pytest.mark.parametrize(("amplitude", "expected_db"), [(1.0, 0.0), (0.1, -20.0)])
def test_spectrum_of_a_tone_peaks_at_its_frequency_with_its_level(frequency_hz, amplitude, expected_db):
    frequencies_hz, level_db = spectrum_db(tone(frequency_hz, amplitude=amplitude), SAMPLE_RATE_HZ)
    assert frequencies_hz[level_db.argmax()].item() == pytest.approx(frequency_hz, abs=1e-2)
    assert level_db.max().item() == pytest.approx(expected_db, abs=0.05)


def test_spectrum_of_something_shorter_than_its_window():
    frequencies_hz, level_db = spectrum_db(tone(1000, seconds=0.15), SAMPLE_RATE_HZ)
    assert frequencies_hz[level_db.argmax()].item() == pytest.approx(1000, abs=5)


def test_spectrogram_has_0_db_at_the_loudest_spot_and_a_floor():
    sound = torch.cat([tone(1000, 0.5), tone(1000, 0.5, 0.1), torch.zeros(2, 22_050)], dim=1)
    level_db = relative_db(spectrogram_power(sound))
    assert level_db.shape[0] == 1025
    assert level_db.max() == 0
    assert level_db.min() == -80
    row = level_db[:, 20].argmax()
    assert row.item() == pytest.approx(1000 / (SAMPLE_RATE_HZ / 2048), abs=0.5)
    assert level_db[row, 64].item() == pytest.approx(-20, abs=0.1)
    assert torch.all(relative_db(spectrogram_power(torch.zeros(2, 9000))) == -80)


def test_rows_are_even_steps_of_mel_and_keep_the_loudest():
    """O'Shaughnessy: 2595 · log10(1 + f / 700)."""
    frequency_hz = np.linspace(0, 22_050, 1025)[:, None]
    rows_hz = mel_rows(frequency_hz, SAMPLE_RATE_HZ, 300)[:, 0]
    mel = 2595 * np.log10(1 + rows_hz / 700)
    nearest_bin, row = 22_050 / 1024 / 2, 3923.3 / 300
    upper_edges = (np.arange(300) + 1) * row
    assert np.all(mel <= upper_edges + 2595 * np.log10(1 + nearest_bin / 700))
    assert np.all(np.diff(rows_hz) >= 0)
    assert rows_hz[-1] == 22_050
    assert height(1000, SAMPLE_RATE_HZ) == pytest.approx(1000 / 3923.3, abs=1e-3)  # 1000 Hz are 1000 mel


def painted(sound, **options):
    """The picture as colours (rows, columns, RGB), the lowest row first."""
    with Image.open(io.BytesIO(paint(spectrogram_power(sound), SAMPLE_RATE_HZ, **options))) as picture:
        return np.asarray(picture.convert("RGB"))[::-1].astype(int)


@pytest.mark.parametrize("kind", ["png", "webp"])
@pytest.mark.parametrize("frequency_hz", [65, 440, 1000, 5000, 15_000])
def test_a_tone_is_brightest_where_the_axis_says(frequency_hz, kind):
    picture = painted(tone(frequency_hz), kind=kind)
    assert picture.shape == (192, 87, 3)
    brightness = picture[:, 5:-5].mean((1, 2))
    (brightest,) = np.nonzero(brightness == brightness.max())
    half_a_bin = 192 * (height(frequency_hz + 11, SAMPLE_RATE_HZ) - height(frequency_hz, SAMPLE_RATE_HZ))
    expected = 192 * height(frequency_hz, SAMPLE_RATE_HZ)
    assert brightest.mean() + 0.5 == pytest.approx(expected, abs=0.5 + half_a_bin)
    far = abs(np.arange(192) - expected) > 20
    assert brightness[far].max() < 5


def test_brightness_is_level():
    """From black at −80 dB to the brightest at 0 dB; a common reference makes pictures comparable."""
    shades = matplotlib.colormaps["magma"]
    loud, soft = tone(1000), tone(1000, amplitude=0.1)
    loudest = spectrogram_power(loud).max()
    pictures = painted(loud), painted(soft), painted(soft, loudest=loudest)
    for picture, level_db in zip(pictures, (0, 0, -20), strict=True):
        row = picture[:, 40].sum(-1).argmax()
        assert picture[row, 40] == pytest.approx(255 * np.array(shades(1 + level_db / 80)[:3]), abs=3)
    for options in ({}, {"loudest": loudest}, {"loudest": torch.tensor(0.0)}):
        assert painted(torch.zeros(2, 9000), **options).max() < 5


@pytest.mark.parametrize("target", TARGETS)
def test_bands_tile_up_to_half_the_sample_rate(target):
    edges_hz = band_edges_hz(bands_hz(target), SAMPLE_RATE_HZ)
    assert edges_hz[0] == 0
    assert edges_hz[-1] == 22_050
    assert len(edges_hz) == BAND_COUNTS[target] + 1
    assert all(low < high for low, high in pairwise(edges_hz))


def test_band_levels_put_a_tone_into_its_band():
    levels_db = dataset.band_levels_db(tone(525), SAMPLE_RATE_HZ, bands_hz("all"))
    assert levels_db.shape == (57,)
    assert levels_db.argmax() == 10  # 500 to 550 Hz
    assert levels_db[10].item() == pytest.approx(0, abs=0.01)
    assert (10 ** (levels_db / 10)).sum().item() == pytest.approx(1, abs=1e-3)


def test_loudness_is_that_of_the_standard():
    """A stereo sine of 997 Hz at −23 dB full scale has −23 LUFS (EBU Tech 3341, case 1)."""
    assert dataset.loudness_lufs(tone(997, 3, 10 ** (-23 / 20)), SAMPLE_RATE_HZ) == pytest.approx(-23, abs=0.1)
    assert dataset.loudness_lufs(torch.zeros(2, 50_000), SAMPLE_RATE_HZ) == float("-inf")


def test_silence_and_levels():
    half = torch.cat([tone(1000), torch.zeros(2, SAMPLE_RATE_HZ)], dim=1)
    assert dataset.silent_share(half, SAMPLE_RATE_HZ) == 0.5
    assert dataset.levels_db(half, SAMPLE_RATE_HZ)[0].item() == pytest.approx(-3.01, abs=0.01)


def test_correlation():
    rows = torch.stack([tone(1000)[0], -2 * tone(1000)[0], tone(2000)[0], torch.zeros(SAMPLE_RATE_HZ)])
    expected = torch.tensor([[1.0, -1, 0, 0], [-1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    assert torch.allclose(dataset.correlation(rows), expected, atol=1e-4)


def test_methods_table_has_the_numbers_of_the_papers():
    methods = {method.name: method for method in read_methods(CSV)}
    assert len(methods) == 30
    assert methods["BSRNN"].sdr_db == 8.24
    assert methods["oBSRNN-SIMO"].sdr_db == 9.79
    assert methods["Sparse HT Demucs ft"].sdr_db == 9.2
    assert methods["Wavenet"].sdr_db == 2.77  # with its `other`, which the tables of others leave out
    assert methods["UMXL"].extra_data
    assert all(method.source for method in methods.values())


def test_names_of_methods_do_not_overlap():
    methods = read_methods(CSV)
    _, (axis,) = new_figure(1, 12, 9)
    axis.set(xlim=(2018, 2027), ylim=(2.2, 10.4))
    names = place_labels(axis, methods)
    assert len(names) == len(methods)
    assert not any(one.overlaps(other) for one, other in combinations(names, 2))


def test_no_room_for_names_is_an_error():
    _, (axis,) = new_figure(1, 1, 1)
    axis.set(xlim=(2018, 2027), ylim=(2.2, 10.4))
    with pytest.raises(ValueError, match="no room for the name of"):
        place_labels(axis, read_methods(CSV))


@pytest.mark.parametrize("targets", [("vocals",), SOURCES])
@pytest.mark.parametrize(
    "extras", [{"tac": None, "attention": None}, {"tac": {"factor": 3}, "attention": {"heads": 2}}]
)
def test_architecture_names_the_sizes_of_its_settings(sounds, targets, extras):
    hparams = {
        "targets": list(targets),
        "bands_hz": bands_hz("drums"),
        "featurizer": {"n_fft": 2048, "hop_samples": 512, "sample_rate_hz": SAMPLE_RATE_HZ},
        "model": {"features": 48, "repeats": 5, "rnn": "gru", "rnn_factor": 2}
        | {"mask": {"hidden_factor": 4, "hidden_layers": 2}}
        | extras,
    }
    words = " ".join(text.get_text() for text in architecture(hparams, sounds).axes[0].texts)
    counts = f"S = {len(targets)} target"
    for expected in ("K = 55 bands", "N = 48, 5 times", "F = 1025 bins", "BiGRU\n96", "tanh\n192", counts):
        assert expected in words
    assert ("TAC across channels and attention over frames" in words) == (extras["tac"] is not None)


def test_make_images_writes_every_picture(sounds, tmp_path, monkeypatch):
    stems = {name: sound.numpy() for name, sound in sounds.items() if name != "mixture"}
    monkeypatch.setattr(make_images, "compose_song", lambda: stems)
    monkeypatch.setattr("sys.argv", ["make_images.py", "-o", str(tmp_path)])
    make_images.main()
    of_tables = ["band_tables", "learning_curves", "source_separation_methods"]
    names = ["architecture", *of_tables, "spectrograms", "spectrums", "waveforms"]
    assert sorted(path.stem for path in tmp_path.glob("*.png")) == names
    assert all((PROJECT_DIR / "images" / f"{name}.png").is_file() for name in names)
    assert struct.unpack(">II", (tmp_path / "architecture.png").read_bytes()[16:24]) == (1800, 990)


def test_songs_that_are_all_alike_are_shown_from_zero():
    axis = dataset.per_song({"bass": [100.0, 100.0], "drums": [99.9]}, "%").axes[0]
    low, high = axis.get_xlim()
    assert low < 0 < 100 < high < 110
    axis = dataset.per_song({"bass": [-20.0, -22.0]}, "dB").axes[0]
    assert axis.get_xlim()[1] < 0


def test_no_correlation_is_not_negative():
    axis = dataset.correlations({"r": torch.tensor([[1.0, -0.001], [-0.001, 1.0]])}, ("bass", "drums")).axes[0]
    assert {text.get_text() for text in axis.texts} == {"1.00", "0.00"}


def test_pictures_of_a_dataset_can_be_written(sounds, tmp_path):
    tables = {target: bands_hz(target) for target in SOURCES}
    levels = {name: [dataset.band_levels_db(sounds[name], SAMPLE_RATE_HZ, tables[name])] for name in tables}
    figures = [
        dataset.band_energies(levels, tables, SAMPLE_RATE_HZ),
        dataset.per_song({"bass": [1.0, float("-inf")], "drums": []}, "x"),
        dataset.correlations({"r": torch.eye(4), "again": torch.eye(4)}, SOURCES),
    ]
    for number, figure in enumerate(figures):
        save(figure, tmp_path / f"{number}.png", dpi=50)
        assert (tmp_path / f"{number}.png").read_bytes().startswith(b"\x89PNG")


def test_silence_can_be_drawn():
    silence = {"mixture": torch.zeros(2, 20_000), "bass": torch.zeros(2, 20_000)}
    for draw in (waveforms, spectrums, spectrograms):
        assert len(draw(silence, SAMPLE_RATE_HZ).axes) >= 2


def test_each_source_has_a_colour_of_its_own():
    assert color("all") == COLORS["mixture"]
    names = [*COLORS, *"abcdef", "no_bass"]
    shades = colors(names)
    assert [shades[name] for name in COLORS] == list(COLORS.values())
    assert len({shades[name] for name in names if name != "no_bass"}) == len(COLORS) + len(FURTHER) == 13
    assert shades["no_bass"] == COLORS["mixture"]


# What is left of a colour without one kind of cone, in linear RGB (Machado, Oliveira and Fernandes, 2009)
EYES = {
    "most": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(shade, eyes):
    """CIE 1976 L*a*b* of a colour as these eyes see it."""
    rgb = np.array(matplotlib.colors.to_rgb(shade))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    share = to_xyz @ np.clip(eyes @ linear, 0, 1) / to_xyz.sum(1)
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eyes", EYES)
def test_colours_stay_apart_in_colour_blind_eyes(eyes):
    """2.3 is a difference that is just noticed."""
    seen = [lab(shade, np.array(EYES[eyes])) for shade in (*COLORS.values(), *FURTHER)]
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > 15


def test_the_palette_does_not_wait_for_matplotlib():
    code = "import sys, demixer.figures.palette, demixer.figures.numbers; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=SRC_DIR, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_spectrogram_s_axis_ends_where_its_sound_does():
    axis = spectrograms({"bass": tone(1000)}, 8000).axes[0]
    assert axis.get_ylim() == (0, 1)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["0", "500", "1k", "2k", "4k"]
