"""What a model's settings may ask for: the name, the type and the range of every one of them.

The ranges of sizes are wide, since weights must fit them before anything is allocated. Those of *numbers* of modules
are narrow: modules are built before their sizes can be compared with the weights', a millisecond each.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from demixer.checkpoints.settings import Settings
from demixer.model.modules.attention import POSITIONS, VALUE_RESIDUALS
from demixer.model.modules.spectrogram import LARGEST_N_FFT

LARGEST_SIZE = 1 << 20  # features or frames; published networks have 64 to 384 features and 263 frames
MOST_MODULES = 256  # one after the other; the paper has 12
LARGEST_FACTOR = 64  # of a hidden layer over the features; published: 2 to 4
MOST_STREAMS = 32  # of residuals, and fractions of the features; published: 1 to 4
MOST_ITERATIONS = 100  # published: 2
LONGEST_LOOK = 256  # frames; with more of them no one would call it live
MOST_BANDS = 4096  # published: 30 to 60
RATES_HZ = (1_000, 1_000_000)  # as songs'

Kind = Callable[[Settings, str], Any]
_size = partial(Settings.whole, lowest=1, highest=LARGEST_SIZE)
_modules = partial(Settings.whole, lowest=1, highest=MOST_MODULES)
_layers = partial(Settings.whole, lowest=0, highest=MOST_MODULES)
_factor = partial(Settings.whole, lowest=1, highest=LARGEST_FACTOR)


def _of(known: Mapping[str, Kind]) -> Kind:
    """A section of such settings, or None."""
    return lambda settings, name: None if settings.values.get(name) is None else checked(settings.section(name), known)


_share = partial(Settings.number, lowest=0, highest=1)
_switch = partial(Settings.choice, known=(True, False))
_MASK = _of({"hidden_factor": _factor, "hidden_layers": _layers})
_SEQUENCE: dict[str, Kind] = {
    "features": _size,
    "repeats": _modules,
    "rnn": partial(Settings.choice, known=("lstm", "gru")),
    "rnn_factor": _factor,
    "mask": _MASK,
}
_ROFORMER: dict[str, Kind] = {
    "features": _size,
    "repeats": _modules,
    "time_depth": _layers,
    "band_depth": _layers,
    "linear_depth": _layers,
    "skip": _switch,
    "channels": partial(Settings.whole, lowest=1, highest=2),
    "zero_dc": _switch,
    "mask": _MASK,
    "heads": _modules,
    "head_width": _size,
    "feed_forward_factor": partial(Settings.number, lowest=1e-3, highest=LARGEST_FACTOR),
    "dropout": _share,
    "biases": _switch,
    "positions": partial(Settings.choice, known=tuple(POSITIONS)),
    "value_residuals": partial(Settings.choice, known=VALUE_RESIDUALS),
    "streams": partial(Settings.whole, lowest=1, highest=MOST_STREAMS),
    "fractions": partial(Settings.whole, lowest=1, highest=MOST_STREAMS),
    "sinkhorn_iterations": partial(Settings.whole, lowest=0, highest=MOST_ITERATIONS),
    "first_bin": partial(Settings.whole, lowest=0, highest=LARGEST_N_FFT),
}
_PAPERS: dict[str, Kind] = {
    **_SEQUENCE,
    "dropout": _share,
    "tac": _of({"factor": _factor, "activation": partial(Settings.choice, known=("prelu", "tanh"))}),
    "norm_eps": partial(Settings.number, lowest=1e-20, highest=1),  # none at all divides silence by zero
}
ARGUMENTS: dict[str, dict[str, Kind]] = {
    "bandsplitrnn": {**_PAPERS, "attention": _of({"heads": _modules, "width": _size})},
    "bandsplitrnn_live": {
        **_PAPERS,
        "norm": partial(Settings.choice, known=("running", "frame")),
        "norm_seconds": partial(Settings.number, lowest=1e-3, highest=3600),
        "look_ahead": partial(Settings.whole, lowest=0, highest=LONGEST_LOOK),
    },
    "fixed_window": {
        **_SEQUENCE,
        "frames": partial(Settings.whole, lowest=2, highest=LARGEST_SIZE),  # one frame has no length
        "frames_last": _switch,
    },
    "bs_roformer": _ROFORMER,
    "mel_band_roformer": _ROFORMER,
}

NEEDED = ("frames",)  # all others have defaults


def checked(settings: Settings, known: Mapping[str, Kind]) -> dict[str, Any]:
    """The settings that are there, each of its kind.

    Raises:
        UserError: one is unknown, or not what it must be.
    """
    settings.only(known)
    if missing := [name for name in NEEDED if name in known and name not in settings.values]:
        raise settings.refuse(missing[0], "must be given")
    return {name: known[name](settings, name) for name in settings.values}


def check_bands(hparams: Settings) -> None:
    """Make sure that ``bands_bins`` is a list of widths, or ``bands_hz`` one of rows of two numbers.

    Raises:
        UserError: neither is.
    """
    name = "bands_bins" if hparams.values.get("bands_bins") is not None else "bands_hz"
    rows = hparams.values.get(name)
    whole = is_list(rows) and 0 < len(rows) <= MOST_BANDS
    if name == "bands_bins":
        plain = whole and all(type(width) is int and width > 0 for width in rows)
        rule = "widths in bins"
    else:
        plain = whole and all(is_list(row) and len(row) == 2 and all(map(_positive, row)) for row in rows)
        rule = "rows of two frequencies in Hz, up to where and how wide"
    if not plain:
        raise hparams.refuse(name, f"must be a list of 1 to {MOST_BANDS} {rule}")


def is_list(value: Any) -> bool:
    """Whether it is one: YAML's, or OmegaConf's, which is no list."""
    return isinstance(value, Sequence) and not isinstance(value, str)


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < RATES_HZ[1]
