"""Metrics beside uSDR and cSDR, by the names that users ask for them with."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from demixer.errors import UserError
from demixer.evaluation.bsseval import bss_eval
from demixer.evaluation.metrics import (
    HOP_SECONDS,
    WINDOW_SECONDS,
    finite_median,
    predicted_energy_at_silence,
    si_sdr,
)
from demixer.evaluation.museval_reference import museval_scores, museval_version

SILENCE_SECONDS = 0.25  # windows of the metric: shorter than most rests in music

# mixture (C, L), true sources (S, C, L), estimates (S, C, L) and their rate in Hz → for each of the S targets
# {column: value}; all targets at once, since some metrics compare them
Further = Callable[[Tensor, Tensor, Tensor, int], Sequence[Mapping[str, float]]]


def further_metrics(names: Sequence[str]) -> list[Further]:
    """The metrics of these names.

    Raises:
        UserError: a name is unknown, or what it needs is not installed.
    """
    unknown = [name for name in names if name not in METRICS_BY_NAME]
    if unknown:
        raise UserError(f"`--metrics` {', '.join(unknown)}: known are {', '.join(METRICS_BY_NAME)}")
    if "museval" in names:
        museval_version()
    if "log-wmse" in names:
        _log_wmse()
    return [METRICS_BY_NAME[name] for name in dict.fromkeys(names)]


def _si_sdr(mixture: Tensor, references: Tensor, estimates: Tensor, sample_rate_hz: int) -> list[dict[str, float]]:
    return [{"si_sdr_db": si_sdr(*pair)} for pair in zip(references, estimates, strict=True)]


def _bsseval(mixture: Tensor, references: Tensor, estimates: Tensor, sample_rate_hz: int) -> list[dict[str, float]]:
    window, hop = (round(seconds * sample_rate_hz) for seconds in (WINDOW_SECONDS, HOP_SECONDS))
    numbers = bss_eval(references, estimates, window, hop)
    return [
        {f"{name}_db": finite_median(values[i].tolist()) for name, values in numbers.items()}
        for i in range(len(references))
    ]


def _silence(mixture: Tensor, references: Tensor, estimates: Tensor, sample_rate_hz: int) -> list[dict[str, float]]:
    window = round(SILENCE_SECONDS * sample_rate_hz)
    pairs = zip(references, estimates, strict=True)
    return [{"silence_db": predicted_energy_at_silence(mixture, *pair, window)} for pair in pairs]


def _wmse(mixture: Tensor, references: Tensor, estimates: Tensor, sample_rate_hz: int) -> list[dict[str, float]]:
    metric = _log_wmse()(sample_rate=sample_rate_hz)
    pairs = (
        (estimate[None, :, None], truth[None, :, None])  # (batch, channel, stem, time)
        for truth, estimate in zip(references, estimates, strict=True)
    )
    return [{"log_wmse": float(metric(mixture.unsqueeze(0), *pair))} for pair in pairs]


@lru_cache(maxsize=1)
def _log_wmse() -> Callable[..., torch.nn.Module]:
    try:
        from torch_log_wmse import LogWMSE
    except ModuleNotFoundError as error:
        raise UserError("`--metrics log-wmse` needs: pip install 'music-demixer[metrics]'") from error
    return LogWMSE


METRICS_BY_NAME: dict[str, Further] = {
    "si-sdr": _si_sdr,
    "bsseval": _bsseval,
    "log-wmse": _wmse,
    "silence": _silence,
    "museval": museval_scores,
}
