"""A checkpoint without its YAML: what the weights and the file's name say, and of the rest what nearly all have."""

import logging
import re
from pathlib import Path
from typing import Any

from demixer.errors import UserError
from demixer.model.layouts.msst.sizes import Sizes
from demixer.model.modules.mel_bands import mel_bands
from demixer.sources import SOURCES

log = logging.getLogger(__name__)
USUAL_HOP_SAMPLES, USUAL_RATE_HZ = 441, 44100
_N_FFT = (2048, 4096, 1024, 8192, 512)  # of those with mel bands, the most usual first
_TARGETS = (*SOURCES, "guitar", "piano", "instrumental", "karaoke")


def assumed_hparams(file: Path, sizes: Sizes) -> dict[str, Any]:
    """The settings of a network, in this project's terms; a line in the log says what is assumed.

    Raises:
        UserError: what is estimated, or the transform, cannot be told.
    """
    named = {word for word in re.split(r"[^a-z]+", file.stem.lower()) if word in _TARGETS}
    if sizes.stems > 1 or len(named) != 1:
        raise UserError(
            f"`{file}` needs the YAML that was published with it beside it, with its name (`{file.stem}.yaml`): the "
            f"weights are a {sizes.describe()}, but do not say what it estimates"
        )
    channels, n_fft = _channels_and_transform(file, sizes)
    log.warning(
        "`%s` has no YAML beside it: its sizes, %d channel(s) and a transform of %d samples are read from the weights; "
        "assumed are %s as what it estimates, for its name, and, as most have them, a hop of %d samples at %d Hz, no "
        "skip connections, and nothing at 0 Hz",
        *(file, channels, n_fft, *named, USUAL_HOP_SAMPLES, USUAL_RATE_HZ),
    )
    widths = [values // (2 * channels) for values in sizes.band_values]
    return {
        "targets": [*named],
        **({} if sizes.mel else {"bands_bins": widths}),
        "featurizer": {"n_fft": n_fft, "hop_samples": USUAL_HOP_SAMPLES, "sample_rate_hz": USUAL_RATE_HZ},
        "model": {**sizes.model(), "channels": channels, "skip": False, "zero_dc": True},
        "audio_params": {"window_seconds": 8.0, "hop_seconds": 4.0, "batch_size": 1},
    }


def _channels_and_transform(file: Path, sizes: Sizes) -> tuple[int, int]:
    """Of how many channels and bins bands of these sizes are."""
    for channels in (2, 1):
        widths = [values // (2 * channels) for values in sizes.band_values]
        n_fft = 2 * (sum(widths) - 1)
        if not sizes.mel and n_fft > 1 and n_fft & (n_fft - 1) == 0:  # a transform's length is a power of two
            return channels, n_fft
        for n_fft in _N_FFT if sizes.mel else ():
            if len(widths) <= n_fft // 2 and widths == _mel_widths(len(widths), n_fft):
                return channels, n_fft
    raise UserError(f"`{file}` needs its YAML beside it: its {len(sizes.band_values)} bands are not the usual ones")


def _mel_widths(count: int, n_fft: int) -> list[int] | None:
    try:
        return mel_bands(count, n_fft, USUAL_RATE_HZ)[1]
    except ValueError:  # a band or a bin would be empty
        return None
