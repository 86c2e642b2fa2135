"""Waveform → stems: the one Separator that inference, evaluation and validation share."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from model.separation_network import build_network
from utils.audio import resample
from utils.checkpoints import load_strictly, locate_model, read_hparams, read_weights
from utils.devices import choose_device
from utils.errors import UserError
from utils.overlap_add import FADES, overlap_add


@dataclass(frozen=True)
class AudioParams:
    """How a song is cut: what a user may turn in a model's ``hparams.yaml`` under ``audio_params``.

    Args:
        window_seconds: length of a window.
        hop_seconds: distance of two windows, at most a window.
        batch_size: windows computed at once.
        fade: weight over a window in the cross-fade: triangle, hann or rectangle.

    Raises:
        UserError: a value is impossible or unknown.
    """

    window_seconds: float = 3.0
    hop_seconds: float = 1.5
    batch_size: int = 4
    fade: str = "triangle"

    def __post_init__(self) -> None:
        if not 0 < self.hop_seconds <= self.window_seconds:
            raise UserError(
                f"`audio_params.hop_seconds` (={self.hop_seconds}) must be above 0 and at most "
                f"`window_seconds` (={self.window_seconds})"
            )
        if self.batch_size < 1:
            raise UserError(f"`audio_params.batch_size` (={self.batch_size}) must be at least 1")
        if self.fade not in FADES:
            raise UserError(f"`audio_params.fade` (={self.fade!r}) must be one of {sorted(FADES)}")

    @classmethod
    def from_mapping(cls, params: Mapping[str, Any]) -> Self:
        unknown = sorted(params.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise UserError(f"`audio_params` has no setting {unknown}: known are {[f.name for f in fields(cls)]}")
        return cls(**params)


class Separator:
    """Separates signals of any length in bounded memory with a network that maps windows to windows.

    Args:
        network: (B, C, L) → (B, S, C, L), at ``sample_rate_hz``.
        targets: names of the S stems.
        sample_rate_hz: sample rate of the network.
        audio_params: windows, hop, batch and fade.
        device: where the network computes; None: where the signal is.

    >>> identity = Separator(lambda mixture: mixture.unsqueeze(1), ["all"], 44100)
    >>> song = torch.randn(2, 100_000)
    >>> bool((identity(song)["all"] - song).abs().max() < 1e-5)
    True
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        targets: Iterable[str],
        sample_rate_hz: int,
        audio_params: AudioParams | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.network = network
        self.targets = tuple(targets)
        self.sample_rate_hz = sample_rate_hz
        self.audio_params = audio_params or AudioParams()
        self.device = device

    @classmethod
    def from_pretrained(cls, path: str | Path, device: str = "auto") -> Self:
        """Load a saved model or a training run.

        Args:
            path: the name of a shipped model, a model's or a run's folder, or a checkpoint file in it.
            device: cpu, cuda, cuda:N, mps, or auto for the best that is present.

        Raises:
            UserError: there is no such model or device, or the weights do not fit the settings.
        """
        chosen = choose_device(device)
        folder, file = locate_model(Path(path))
        hparams = read_hparams(folder)
        network = build_network(hparams)
        load_strictly(network, read_weights(file), file)
        network.to(chosen).eval().requires_grad_(False)
        params = AudioParams.from_mapping(hparams.get("audio_params", {}))
        return cls(network, network.targets, network.sample_rate_hz, params, chosen)

    def __call__(self, waveform: Tensor, sample_rate_hz: int | None = None) -> dict[str, Tensor]:
        """Separate a waveform (C, L); stems have its length, level and sample rate.

        Args:
            waveform: (C, L), C = 1 or 2.
            sample_rate_hz: of the waveform; None means the network's own.

        Returns:
            {target: (C, L)} on the CPU.

        Raises:
            ValueError: the waveform is not (C, L).
        """
        if waveform.ndim != 2 or waveform.shape[0] not in (1, 2):
            raise ValueError(f"`waveform` (of shape {tuple(waveform.shape)}) must be (C, L), channels first, C ≤ 2")
        length, rate_hz = waveform.shape[-1], sample_rate_hz or self.sample_rate_hz
        if length == 0:
            return {target: waveform.clone() for target in self.targets}
        own_rate = resample(waveform.float(), rate_hz, self.sample_rate_hz)
        stems = torch.cat(list(self.stream([own_rate])), dim=-1)
        stems = resample(stems, self.sample_rate_hz, rate_hz)[..., :length]
        return dict(zip(self.targets, stems, strict=True))

    def stream(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Separate a stream at the network's own rate, holding no more of it than a batch of windows.

        Args:
            blocks: (C, any length) each, consecutive parts of one signal.

        Yields:
            (S, C, any length) each on the CPU, together as long as the blocks together.
        """
        params, rate_hz = self.audio_params, self.sample_rate_hz
        window = getattr(self.network, "window_samples", None) or round(params.window_seconds * rate_hz)
        hop = min(window, max(1, round(params.hop_seconds * rate_hz)))
        with torch.inference_mode():
            yield from overlap_add(blocks, self._apply, window, hop, params.batch_size, params.fade)

    def _apply(self, windows: Tensor) -> Tensor:
        return self.network(windows if self.device is None else windows.to(self.device)).float().cpu()
