"""BSSEval v4 in torch: what of an estimate is the source, its filtering, other sources, and none of them.

An estimate is projected on the true sources with filters of 512 taps, common to the whole song (Vincent, Gribonval &
Févotte 2006; Stöter, Liutkus & Ito 2018, arXiv 1804.06267). The numbers are museval's; here the sources' correlations
are added up block by block, one factorisation serves all estimates, and a window is one product of spectra.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from demixer.evaluation.metrics import any_silent, window_starts

TAPS = 512
REACH = TAPS - 1  # the largest lag of two signals under the filters
BLOCK_SAMPLES = (1 << 14) - 2 * REACH  # so that a block with the reach on both sides is a power of two
BLOCKS = 64  # transformed at once


def bss_eval(references: Tensor, estimates: Tensor, window_samples: int, hop_samples: int) -> dict[str, Tensor]:
    """Image to spatial distortion (ISR), source to interference (SIR) and sources to artefacts (SAR), window by window.

    An estimate is taken apart: s + e_spatial + e_interference + e_artefacts. The SDR is not among the results: with
    filters common to the song it is that of :func:`demixer.evaluation.metrics.csdr`.

    Args:
        references: the true sources (S, C, L).
        estimates: the estimated ones (S, C, L).
        window_samples: length of a window.
        hop_samples: distance of two windows' starts.

    Returns:
        {"isr" | "sir" | "sar": dB in float64 (S, windows)}. A window in which any reference or estimate is silent is
        NaN for every source; so is a song with one that is silent throughout.
    """
    starts = window_starts(references.shape[-1], window_samples, hop_samples)
    nothing = torch.full((len(references), 3), math.nan, dtype=torch.float64)
    if not starts or any_silent(references) or any_silent(estimates):
        return _named([nothing] * len(starts), len(references))
    references, estimates = references.double(), estimates.double()
    projection = Projection.fitted(references, estimates, min(window_samples, references.shape[-1]))
    windows = []
    for start in starts:
        true, estimate = (sources[..., start : start + window_samples] for sources in (references, estimates))
        silent = any_silent(true) or any_silent(estimate)
        windows.append(nothing if silent else _ratios(true, estimate, projection))
    return _named(windows, len(references))


@dataclass(frozen=True)
class Projection:
    """The filters that make the nearest thing to each estimate out of the true sources, as spectra of F bins.

    Args:
        size: length of the transforms: a window with the filters' reach, or more.
        of_all: from every channel of every source to each estimate: (S · C, S, C, F).
        of_own: from the channels of the estimate's own source: (S, C, C, F).
    """

    size: int
    of_all: Tensor
    of_own: Tensor

    @classmethod
    def fitted(cls, references: Tensor, estimates: Tensor, window_samples: int) -> Self:
        """The least-squares filters for a song: (S, C, L) each, in double precision."""
        sources, channels = references.shape[:2]
        inputs = sources * channels
        lags = correlations(references.flatten(0, 1), torch.cat([references, estimates]).flatten(0, 1))
        delay = torch.arange(TAPS)
        # of delays k and l of two inputs: their correlation at a lag of k − l
        gram = lags[:, :inputs, delay[:, None] - delay + REACH].transpose(1, 2)  # (in, TAPS, in, TAPS)
        cross = lags[:, inputs:, REACH:].transpose(1, 2)  # (in, TAPS, estimates' channels)
        parts = (slice(first, first + channels) for first in range(0, inputs, channels))
        of_own = torch.stack([_solved(gram[part][:, :, part], cross[part][:, :, part]) for part in parts])
        of_all = _solved(gram, cross).unflatten(2, (sources, channels))
        size = 1 << (window_samples + REACH - 1).bit_length()
        spectra = (torch.fft.rfft(filters.movedim(-1 - last, -1), size) for filters, last in ((of_all, 2), (of_own, 1)))
        return cls(size, *spectra)


def correlations(signals: Tensor, others: Tensor) -> Tensor:
    """Σ_t a(t) · b(t + lag) of every a of ``signals`` (A, L) and b of ``others`` (B, L): (A, B, 2 · REACH + 1).

    >>> correlations(torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 3.0]]))[0, 0, REACH - 1 : REACH + 2].round()
    tensor([0., 6., 3.])
    """
    blocks = -(-signals.shape[-1] // BLOCK_SAMPLES)
    missing = blocks * BLOCK_SAMPLES - signals.shape[-1]
    here = F.pad(signals, (0, missing)).unfold(-1, BLOCK_SAMPLES, BLOCK_SAMPLES)
    around = F.pad(others, (REACH, REACH + missing)).unfold(-1, BLOCK_SAMPLES + 2 * REACH, BLOCK_SAMPLES)
    size = around.shape[-1]
    total = 0
    for part, wider in zip(here.split(BLOCKS, dim=1), around.split(BLOCKS, dim=1), strict=True):
        total = total + torch.einsum("anf,bnf->abf", torch.fft.rfft(part, size).conj(), torch.fft.rfft(wider))
    return torch.fft.irfft(total, size)[..., : 2 * REACH + 1]


def _solved(gram: Tensor, cross: Tensor) -> Tensor:
    """Solve (in, TAPS, in, TAPS) · x = (in, TAPS, out), also where channels are equal and any share would do."""
    square = gram.reshape(cross.shape[0] * TAPS, -1)
    square.diagonal().add_(torch.finfo(square.dtype).eps * square.diagonal().max())
    return torch.linalg.solve(square, cross.flatten(0, 1)).view(cross.shape)


def _ratios(references: Tensor, estimates: Tensor, projection: Projection) -> Tensor:
    """ISR, SIR and SAR in dB (S, 3) of one window (S, C, window)."""
    spectra = torch.fft.rfft(references, projection.size)  # (S, C, F)
    products = (
        sum(one * filters for one, filters in zip(spectra.flatten(0, 1), projection.of_all, strict=True)),
        sum(spectra[:, i, None] * projection.of_own[:, i] for i in range(spectra.shape[1])),
    )
    length = references.shape[-1] + REACH
    from_all, from_own = (torch.fft.irfft(product, projection.size)[..., :length] for product in products)
    true, estimated = (F.pad(waveforms, (0, REACH)) for waveforms in (references, estimates))
    pairs = ((true, from_own - true), (from_own, from_all - from_own), (from_all, estimated - from_all))
    energies = [(wanted.square().sum((1, 2)), rest.square().sum((1, 2))) for wanted, rest in pairs]
    return torch.stack([10 * torch.log10(wanted / rest) for wanted, rest in energies], dim=1)


def _named(windows: list[Tensor], sources: int) -> dict[str, Tensor]:
    """(S, 3) for each window → by name (S, windows)."""
    joined = torch.stack(windows, dim=2) if windows else torch.empty(sources, 3, 0, dtype=torch.float64)
    return dict(zip(("isr", "sir", "sar"), joined.unbind(1), strict=True))
