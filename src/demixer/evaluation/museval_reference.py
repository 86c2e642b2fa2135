"""The original BSSEval v4: museval's numbers, as slow as they are, to be set beside ours.

Of museval only the file ``metrics.py`` is loaded, which needs numpy and scipy. Importing the package would import musdb
and stempeg with it, and that raises where the programs ffmpeg and ffprobe are not installed.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.evaluation.metrics import HOP_SECONDS, WINDOW_SECONDS, any_silent, finite_median, window_starts
from demixer.evaluation.results import MUSEVAL

NUMBERS = ("sdr", "isr", "sir", "sar")


def bss_eval(references: Tensor, estimates: Tensor, window_samples: int, hop_samples: int) -> dict[str, Tensor]:
    """SDR, ISR, SIR and SAR of each window, with distortion filters of 512 taps common to the whole song.

    The filters tell what comes from the other sources, so that every number but the SDR depends on which sources are
    handed in together.

    Args:
        references: the true sources (S, C, L).
        estimates: the estimated ones (S, C, L).
        window_samples: length of a window.
        hop_samples: distance of two windows' starts.

    Returns:
        For each of ``NUMBERS`` dB in float64 (S, windows). A window in which any reference or estimate is silent is NaN
        for every source; so is a song with one that is silent throughout, which museval refuses.

    Raises:
        UserError: museval is not installed.
        ValueError: the shapes differ.
    """
    windows = len(window_starts(references.shape[-1], window_samples, hop_samples))
    if not windows or any_silent(references) or any_silent(estimates):
        nothing = torch.full((references.shape[0], windows), math.nan, dtype=torch.float64)
        return {name: nothing.clone() for name in NUMBERS}
    samples = [sources.double().movedim(-2, -1).numpy() for sources in (references, estimates)]
    with np.errstate(divide="ignore", invalid="ignore"):
        *numbers, _permutation = _museval_metrics().bss_eval(*samples, window=window_samples, hop=hop_samples)
    return {name: torch.from_numpy(values) for name, values in zip(NUMBERS, numbers, strict=True)}


def museval_scores(references: Tensor, estimates: Tensor, sample_rate_hz: int) -> Sequence[dict[str, float]]:
    """Further metrics (:data:`demixer.evaluation.scoring.Further`): museval's, as medians over windows of a second."""
    window, hop = (round(seconds * sample_rate_hz) for seconds in (WINDOW_SECONDS, HOP_SECONDS))
    numbers = bss_eval(references, estimates, window, hop)
    return [
        {f"{MUSEVAL}{name}_db": finite_median(numbers[name][i].tolist()) for name in NUMBERS}
        for i in range(len(references))
    ]


def museval_version() -> str:
    """The version that is installed.

    Raises:
        UserError: none is.
    """
    _museval_metrics()
    return version("museval")


@lru_cache(maxsize=1)
def _museval_metrics() -> ModuleType:
    package = find_spec("museval")
    if package is None or not package.submodule_search_locations:
        raise UserError("museval's numbers need the package museval, which is not installed: pip install museval")
    file = Path(package.submodule_search_locations[0]) / "metrics.py"
    spec = spec_from_file_location("museval_metrics", file)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
