"""How near an estimate is to the truth, in dB: uSDR over a whole song, cSDR over windows of one second."""

import math
import statistics
from collections.abc import Iterable

import torch
from torch import Tensor

EPSILON = 1e-7
WINDOW_SECONDS = HOP_SECONDS = 1.0  # of cSDR
SILENT_POWER, LEAST_POWER = 1e-6, 1e-10  # of predicted_energy_at_silence, over the mixture's


def usdr(reference: Tensor, estimate: Tensor) -> float:
    """SDR of a whole song over both channels, as the Music Demixing Challenge 2021 defines it.

    10·log10((Σ s² + ε) / (Σ (s − ŝ)² + ε)) with ε = 1e-7: a silent estimate scores 0 dB, a perfect one is finite.

    A silent reference has no score: the ratio would be that of ε to the estimate's noise floor, −80 dB or 0 dB for
    what nobody hears, and would outweigh all other songs in a mean. It is NaN, which :func:`finite_mean` leaves out, as
    BSSEval v4 (museval) leaves out windows in which a reference is silent; so cSDR and uSDR count the same.

    Args:
        reference: the true source (C, L).
        estimate: the estimated one (C, L).

    Returns:
        dB; NaN where every sample of the reference is zero, whatever the estimate is.

    Raises:
        ValueError: the shapes differ, or one of both is not finite: that is no score to be left out.

    >>> round(usdr(torch.ones(2, 100), 0.9 * torch.ones(2, 100)), 3)
    20.0
    """
    _check_shapes(reference, estimate)
    energy, error_energy = _energy(reference), _energy(reference.double() - estimate.double())
    if not math.isfinite(energy + error_energy):
        name = "estimate" if math.isfinite(energy) else "reference"
        raise ValueError(f"`{name}` is not finite: it has no uSDR")
    if energy == 0:
        return math.nan
    return 10 * math.log10((energy + EPSILON) / (error_energy + EPSILON))


def not_finite(target: str, song: str) -> str:
    """What is said of an estimate that is not finite, in training and in evaluation."""
    return f"the model's `{target}` of song `{song}` is not finite: its weights are broken"


def si_sdr(reference: Tensor, estimate: Tensor) -> float:
    """Scale-invariant SDR (Le Roux et al. 2019, arXiv 1811.02508) of a whole song, one scale for both channels.

    10·log10(|a·s|² / |a·s − ŝ|²) with a = ⟨s, ŝ⟩ / |s|², the scale that fits best.

    Args:
        reference: the true source (C, L).
        estimate: the estimated one (C, L).

    Returns:
        dB; NaN where the reference is silent, −inf where the estimate is.

    >>> round(si_sdr(torch.tensor([[1.0, 0, 0]]), torch.tensor([[5.0, 0.5, 0]])), 3)
    20.0
    """
    _check_shapes(reference, estimate)
    truth, estimated = reference.double().flatten(), estimate.double().flatten()
    if not truth.any():
        return math.nan
    scaled = truth * (truth @ estimated / (truth @ truth))
    error = (scaled - estimated).square().sum()
    return (10 * torch.log10(scaled.square().sum() / error)).item()


def predicted_energy_at_silence(mixture: Tensor, reference: Tensor, estimate: Tensor, window_samples: int) -> float:
    """The estimate's energy over the mixture's where the true source is silent: ghosts, in dB, the lower the better.

    The predicted energy at silence (PES) of Schulze-Forster et al. 2019 (IEEE WASPAA), here over the mixture's energy
    in the same windows, so that quiet and loud songs compare. Silent is a window with less than 1e-6 (-60 dB) of the
    mean power that the mixture has over the song: lossy files have no zeros. An estimate below -100 dB counts as that.

    Args:
        mixture: (C, L).
        reference: the true source (C, L).
        estimate: the estimated one (C, L).
        window_samples: length of the windows; a rest at the song's end is left out.

    Returns:
        dB; NaN where the source sounds in every window in which the mixture does.

    >>> mixture = torch.ones(1, 40)
    >>> round(predicted_energy_at_silence(mixture, torch.tensor([[1.0] * 20 + [0] * 20]), 0.1 * mixture, 10), 3)
    -20.0
    """
    _check_shapes(reference, estimate)
    _check_shapes(reference, mixture)
    whole, truth, heard = (_window_energies(signal, window_samples) for signal in (mixture, reference, estimate))
    audible = SILENT_POWER * whole.mean()
    ghosts = (truth < audible) & (whole >= audible)
    if not ghosts.any():
        return math.nan
    return 10 * math.log10(max((heard[ghosts].sum() / whole[ghosts].sum()).item(), LEAST_POWER))


def csdr(references: Tensor, estimates: Tensor, window_samples: int, hop_samples: int) -> Tensor:
    """SDR of each window as BSSEval v4 (museval) gives it, without computing its distortion filters.

    museval projects the estimate with filters common to the whole song to tell interference from artefacts; the
    parts add up to the plain error again, so that its SDR is Σ s² / Σ (s − ŝ)² of the window. Its rules are kept:
    a window is NaN for every target where any reference or any estimate is silent in it (the sum of the channels
    is zero at every sample); a rest shorter than a window is dropped, unless it is the whole song; no error is +inf.

    Args:
        references: the true sources (S, C, L).
        estimates: the estimated ones (S, C, L).
        window_samples: length of a window.
        hop_samples: distance of two windows' starts.

    Returns:
        dB in float64 (S, windows).
    """
    _check_shapes(references, estimates)
    starts = window_starts(references.shape[-1], window_samples, hop_samples)
    if not starts:
        return torch.empty(references.shape[0], 0, dtype=torch.float64)
    windows = [slice(start, start + window_samples) for start in starts]
    return torch.stack([_window_sdr(references[..., w].double(), estimates[..., w].double()) for w in windows], -1)


def window_starts(length_samples: int, window_samples: int, hop_samples: int) -> range:
    """The first sample of each of museval's windows.

    >>> list(window_starts(35, 10, 10)), list(window_starts(7, 10, 10))
    ([0, 10, 20], [0])
    """
    if window_samples < 1 or hop_samples < 1:
        raise ValueError(f"`window_samples` (={window_samples}) and `hop_samples` (={hop_samples}) must be positive")
    last = max(length_samples - window_samples, 0)
    return range(0, last + 1 if length_samples else 0, hop_samples)


def finite_median(values: Iterable[float]) -> float:
    """The median of what is not NaN (of an even count: the middle of the two); NaN when nothing is left."""
    kept = without_nan(values)
    return statistics.median(kept) if kept else math.nan


def finite_mean(values: Iterable[float]) -> float:
    """The mean of what is not NaN, to the last digit in any order of the values; NaN when nothing is left."""
    kept = without_nan(values)
    return math.fsum(kept) / len(kept) if kept else math.nan


def without_nan(values: Iterable[float]) -> list[float]:
    """The values that are numbers."""
    return [float(value) for value in values if not math.isnan(value)]


def any_silent(sources: Tensor) -> bool:
    """Whether any of (S, C, L) is silent as museval has it: the sum of its channels is zero at every sample."""
    return bool((sources.sum(dim=1) == 0).all(dim=-1).any())


def _window_sdr(references: Tensor, estimates: Tensor) -> Tensor:
    if any_silent(references) or any_silent(estimates):
        return torch.full((references.shape[0],), math.nan, dtype=torch.float64)
    energy, error = references.square().sum(dim=(1, 2)), (references - estimates).square().sum(dim=(1, 2))
    return 10 * torch.log10(energy / error)


def _energy(waveform: Tensor) -> float:
    return waveform.double().square().sum().item()


def _window_energies(signal: Tensor, window_samples: int) -> Tensor:
    """(C, L) → (whole windows,)."""
    whole = signal.shape[-1] // window_samples * window_samples
    return signal[:, :whole].double().square().sum(0).unflatten(0, (-1, window_samples)).sum(1)


def _check_shapes(reference: Tensor, estimate: Tensor) -> None:
    if reference.shape != estimate.shape:
        raise ValueError(f"`reference` {tuple(reference.shape)} and `estimate` {tuple(estimate.shape)} differ in shape")
