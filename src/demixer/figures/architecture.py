"""The network as a picture, drawn from the settings that build it: bands, sizes and axis names."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from demixer.figures.bands import band_edges_hz
from demixer.figures.canvas import Canvas, fade_to
from demixer.figures.spectrogram import FLOOR_DB, SHADES, height, mel_rows, picture_db, spectrogram_power
from demixer.figures.style import INK, tint

TOP, HEIGHT = 41.0, 15.0  # lower edge and height of the row that shows the signal's path
PICTURE_ROWS = 90
RNN_NAMES = {"lstm": "BiLSTM", "gru": "BiGRU"}
EXTRAS = {"tac": "TAC across channels", "attention": "attention over frames"}


def architecture(hparams: Mapping[str, Any], sounds: Mapping[str, Tensor]) -> Figure:
    """Draw the signal's path through the network, and under it what each of its three parts does.

    Args:
        hparams: A model's settings as in ``hparams.yaml``: targets, bands_hz, featurizer, model.
        sounds: The mixture and the stem of each target, (C, L), to show at both ends.
    """
    canvas = Canvas(120, 66)
    edges_hz = band_edges_hz(hparams["bands_hz"], hparams["featurizer"]["sample_rate_hz"])
    _draw_input(canvas, hparams, sounds["mixture"])
    _draw_split(canvas, edges_hz)
    _draw_sequence(canvas, hparams["model"])
    _draw_output(canvas, hparams, sounds)
    _explain_split(canvas, hparams["model"]["features"], len(edges_hz) - 1)
    _explain_sequence(canvas, hparams["model"])
    _explain_mask(canvas, hparams["model"])
    return canvas.figure


def _caption(canvas: Canvas, x: float, title: str, shape: str, size: str = "") -> None:
    canvas.text(x, TOP - 2.2, title, 12, weight="bold")
    canvas.text(x, TOP - 4.9, shape, 11)
    canvas.text(x, TOP - 7.3, size, 10.5)


def _draw_input(canvas: Canvas, hparams: Mapping[str, Any], mixture: Tensor) -> None:
    stft, middle = hparams["featurizer"], TOP + HEIGHT / 2
    canvas.wave((2, TOP + 3, 11, HEIGHT - 6), mixture, "mixture", mixture.abs().max().item())
    _caption(canvas, 7.5, "mixture", "(B, C, L)")
    canvas.arrow((14, middle), (20.5, middle))
    canvas.text(16.8, middle + 1.8, "STFT", 10)
    canvas.text(16.8, middle - 1.8, f"{stft['n_fft']}/{stft['hop_samples']}", 10)
    picture = picture_db(spectrogram_power(mixture), stft["sample_rate_hz"], PICTURE_ROWS)
    canvas.image((21, TOP, 15, HEIGHT), picture, matplotlib.colormaps[SHADES], FLOOR_DB, 0)
    _caption(canvas, 28.5, "spectrogram", "(B, C, F, T)", f"F = {stft['n_fft'] // 2 + 1} bins")


def _draw_split(canvas: Canvas, edges_hz: list[float]) -> None:
    """The spectrum's bands, as wide as they are on the spectrogram's axis, fan out to equal rows."""
    bands = len(edges_hz) - 1
    heights = TOP + HEIGHT * np.array([height(edge, 2 * edges_hz[-1]) for edge in edges_hz])
    rows = np.linspace(TOP, TOP + HEIGHT, bands + 1)
    for k in range(bands):
        low, high = (np.repeat((heights[i], rows[i]), 2) for i in (k, k + 1))
        canvas.axis.fill_between((36.5, 39, 46, 48), low, high, color=tint("drums", (0.75, 0.35)[k % 2]), linewidth=0)
    _caption(canvas, 42.5, "band split", "(K, T, B·C, N)", f"K = {bands} bands")


def _draw_sequence(canvas: Canvas, model: Mapping[str, Any]) -> None:
    """Sheets of band × frame features, with the two directions in which they are read."""
    canvas.arrow((48.7, TOP + HEIGHT / 2), (52.6, TOP + HEIGHT / 2))
    for i in reversed(range(3)):
        canvas.card((53 + i, TOP + i, 18, HEIGHT - 2), "white", INK)
    for row, column in product(range(5), range(7)):
        place = (57 + 1.85 * column, TOP + 3 + 1.85 * row)
        canvas.axis.add_patch(Rectangle(place, 1.5, 1.4, facecolor=tint("drums", 0.35), linewidth=0, zorder=2))
    canvas.arrow((57, TOP + 1.7), (68, TOP + 1.7), style="<|-|>")
    canvas.arrow((55.6, TOP + 3), (55.6, TOP + 10.5), style="<|-|>")
    canvas.text(69.3, TOP + 1.7, "T", 10.5)
    canvas.text(55.6, TOP + 11.7, "K", 10.5)
    _caption(canvas, 63, "band sequence", "(K, T, B·C, N)", f"N = {model['features']}, {model['repeats']} times")


def _draw_output(canvas: Canvas, hparams: Mapping[str, Any], sounds: Mapping[str, Tensor]) -> None:
    targets, rate_hz = hparams["targets"], hparams["featurizer"]["sample_rate_hz"]
    size = HEIGHT / len(targets)
    loudest = max(sounds[target].abs().max().item() for target in targets)
    power = spectrogram_power(sounds["mixture"]).clamp(min=1e-10)
    canvas.arrow((73.8, TOP + HEIGHT / 2), (77.4, TOP + HEIGHT / 2))
    for i, target in enumerate(targets):
        bottom = TOP + HEIGHT - (i + 1) * size
        mask = (spectrogram_power(sounds[target]) / power).sqrt().clamp(max=1).numpy()
        picture = mel_rows(mask, rate_hz, PICTURE_ROWS)
        canvas.image((78, bottom + 0.3, 15, size - 0.6), picture, fade_to(target), 0, 1)
        canvas.arrow((97.6, bottom + size / 2), (103.4, bottom + size / 2))
        canvas.wave((104, bottom, 14, size), sounds[target], target, loudest)
    canvas.text(95.5, TOP + HEIGHT / 2, "⊙", 24)
    over, middle = TOP + HEIGHT + 4, TOP + HEIGHT / 2
    canvas.arrow((28.5, TOP + HEIGHT + 0.5), (28.5, over), (95.5, over), (95.5, middle + 2))
    canvas.text(62, TOP + HEIGHT + 6, "the complex masks multiply the mixture's spectrogram", 10.5)
    canvas.text(100.5, TOP + HEIGHT + 2, "inverse\nSTFT", 10)
    _caption(canvas, 85.5, "masks", "(B, S, C, F, T)", f"S = {len(targets)} target{'s' * (len(targets) > 1)}")
    _caption(canvas, 111, "stems", "(B, S, C, L)")


def _explain_split(canvas: Canvas, features: int, bands: int) -> None:
    canvas.card((2, 2, 34, 29))
    canvas.text(19, 28, f"Band split: each of {bands} bands", 11.5, weight="bold")
    canvas.text(19, 23.2, "real and imaginary part\nof the band's bins", 10.5)
    canvas.arrow((19, 20.8), (19, 18.4))
    canvas.chain(8, 13, {"Norm": 8, "Linear": 11})
    canvas.arrow((19, 12.6), (19, 10.2))
    canvas.text(19, 7.6, f"N = {features} features\nper band and frame", 10.5)


def _explain_sequence(canvas: Canvas, model: Mapping[str, Any]) -> None:
    rnn = f"{RNN_NAMES[model['rnn']]}\n{model['rnn_factor'] * model['features']}"
    canvas.card((38.5, 2, 43, 29))
    canvas.text(60, 28, f"Band sequence: {model['repeats']} times", 11.5, weight="bold")
    for bottom, title in ((17, "along time"), (7.5, "across bands")):
        canvas.text(60, bottom + 6.6, title, 10.5)
        canvas.arrow((41, bottom + 2.5), (43.3, bottom + 2.5))
        right = canvas.chain(43.5, bottom, {"Norm": 6.5, rnn: 9, "Linear": 7, "+": 3})
        canvas.arrow((42, bottom + 2.5), (42, bottom - 1.3), (right - 1.5, bottom - 1.3), (right - 1.5, bottom))
        canvas.arrow((right + 0.2, bottom + 2.5), (right + 2.3, bottom + 2.5))
    extras = [words for key, words in EXTRAS.items() if model.get(key)]
    canvas.text(60, 3.9, "then " + " and ".join(extras) if extras else "", 10)


def _explain_mask(canvas: Canvas, model: Mapping[str, Any]) -> None:
    hidden = f"tanh\n{model['mask']['hidden_factor'] * model['features']}"
    layers = model["mask"]["hidden_layers"]
    canvas.card((84, 2, 34, 29))
    canvas.text(101, 28, "Masks: each target and band", 11.5, weight="bold")
    times = f"; Linear and tanh {layers} times" if layers > 1 else ""
    canvas.text(101, 24, f"N = {model['features']} features{times}", 10.5)
    right = canvas.chain(86.5, 16.5, {"Norm": 7, "Linear": 7.5, hidden: 7.5})
    canvas.arrow((right + 0.2, 19), (right + 2, 19), (right + 2, 14.7), (88, 14.7), (88, 13.2))
    canvas.chain(86.5, 8, {"Linear ": 7.5, "GLU": 7.5})
    canvas.text(101, 4.6, "real and imaginary part of the mask", 10.5)
