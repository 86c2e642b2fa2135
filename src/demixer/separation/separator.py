"""Waveform → stems: the one Separator that inference, evaluation and validation share."""

from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import tee
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from demixer.checkpoints.locating import stems_meant
from demixer.cores import items_at_once, spread_over_cores
from demixer.errors import UserError
from demixer.model.pretrained import load_pretrained
from demixer.separation.audio_params import AudioParams
from demixer.separation.batches import FittingBatches
from demixer.separation.devices import choose_device, choose_precision, computing
from demixer.separation.live import LiveSeparator
from demixer.separation.overlap_add import overlap_add
from demixer.separation.streams import drop_first, in_step
from demixer.separation.waveforms import WaveformSeparator


class Separator(WaveformSeparator):
    """Separates signals of any length in bounded memory with a network that maps windows to windows.

    Args:
        network: (B, C, L) → (B, S, C, L), at ``sample_rate_hz``.
        targets: names of the S stems.
        sample_rate_hz: sample rate of the network.
        audio_params: windows, hop, batch and fade.
        device: where the network computes; None: where the signal is.
        precision: of the network's products: torch.float32, torch.bfloat16 or torch.float16; None: what is set around
            the call.

    >>> identity = Separator(lambda mixture: mixture.unsqueeze(1), ["all"], 44100)
    >>> song = torch.randn(2, 100_000)
    >>> bool((identity(song)["all"] - song).abs().max() < 1e-5)
    True
    >>> sum(stems.shape[-1] for stems in identity.stream(song.split(30_000, dim=-1)))  # (S, C, any length) each
    100000
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        targets: Iterable[str],
        sample_rate_hz: int,
        audio_params: AudioParams | None = None,
        device: torch.device | str | None = None,
        precision: torch.dtype | None = None,
    ) -> None:
        self.network = network
        self.targets = tuple(targets)
        self.sample_rate_hz = sample_rate_hz
        self.audio_params = audio_params or AudioParams()
        self.device, self.precision = None if device is None else torch.device(device), precision
        self._batches = FittingBatches(lambda windows: self._on_device(windows), self.device)

    @classmethod
    def from_pretrained(cls, path: str | Path, device: str = "auto", precision: str = "auto") -> Self:
        """Load a saved model, a training run, or a public checkpoint of another implementation.

        Args:
            path: the name of a shipped or registered model (the latter is downloaded if need be), a model's or a run's
                folder, or a checkpoint file in it.
            device: cpu, cuda, cuda:N, mps, or auto for the best that is present.
            precision: fp32, bf16 or fp16 (about twice as fast), or auto: bf16 where the device has it natively, fp16
                on GPUs that have only that.

        Raises:
            UserError: there is no such model, device or precision, or the weights do not fit the settings.
        """
        chosen = choose_device(device)
        network, params = load_pretrained(Path(path))
        if stems := stems_meant(Path(path)):
            network = network.only(stems)
        network.to(chosen).eval().requires_grad_(False)
        try:
            params = AudioParams.from_mapping(params)
        except UserError as error:
            raise UserError(f"the settings of `{path}`: {error}") from error
        dtype = choose_precision(precision, chosen)
        return cls(network, network.targets, network.sample_rate_hz, params, chosen, dtype)

    def only(self, targets: Collection[str]) -> Self:
        """A separator for some of the targets, in this one's order: what only the others need is not computed.

        Raises:
            UserError: there is no such target.
        """
        places = self.places_of(targets)
        only = getattr(self.network, "only", None)  # a plain function computes all
        network = only(targets) if only else lambda windows: self.network(windows)[:, places]
        names = [self.targets[place] for place in places]
        return type(self)(network, names, self.sample_rate_hz, self.audio_params, self.device, self.precision)

    @property
    def window_samples(self) -> int:
        """Length of a window: the only one that the network takes, or that of ``audio_params``."""
        fixed = getattr(self.network, "window_samples", None)
        return fixed or max(1, round(self.audio_params.window_seconds * self.sample_rate_hz))

    @property
    def latency_samples(self) -> int | None:
        """How far a live stream's stems are behind the mixture; None: the network cannot separate live."""
        return getattr(self.network, "latency_samples", None)

    def live(self, channels: int = 2, block_samples: int = 1) -> LiveSeparator:
        """Separate a signal while it comes, block by block, each answered at once.

        Args:
            channels: C of the signal.
            block_samples: all blocks will be multiples of so many samples. With a multiple of the network's hop the
                stems come up to a hop sooner: a sound card's blocks should be one hop.

        Raises:
            UserError: the network hears a song's future.
        """
        if self.latency_samples is None:
            kind = type(getattr(self.network, "bandsplitrnn", self.network)).__name__
            raise UserError(
                f"the model's network ({kind}) is not causal, it hears whole windows: give a model that was trained "
                "with model=bandsplitrnn_live"
            )
        return LiveSeparator(
            self.network, self.targets, self.sample_rate_hz, self.device, self.precision, channels, block_samples
        )

    def check_windows(self, option: str) -> None:
        """Make sure that an option for windows is not ignored.

        Raises:
            UserError: the network separates live.
        """
        if self.latency_samples is not None:
            raise UserError(
                f"`{option}`: the model is live, it keeps a state and cuts no song into windows: leave it out"
            )

    def leaves(self) -> list["Separator"]:
        """See :class:`WaveformSeparator`."""
        return [self]

    def stream(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """Separate a stream at the network's own rate, holding no more of it than a batch of windows.

        Args:
            blocks: (C, any length) each, consecutive parts of one signal.

        Yields:
            (S, C, any length) each on the CPU, together as long as the blocks together.
        """
        if self.latency_samples is not None:  # as it is heard live, from a state instead of in windows
            yield from drop_first(self._stream_live(blocks), self.latency_samples)
            return
        params, rate_hz = self.audio_params, self.sample_rate_hz
        window = self.window_samples
        hop = min(window, max(1, round(params.hop_seconds * rate_hz)))
        copies = tee(blocks, params.shifts)
        shifted = [
            self._separate_shifted(copy, number * hop // params.shifts, window, hop)
            for number, copy in enumerate(copies)
        ]
        for estimates in in_step(*shifted):
            yield sum(estimates) / len(estimates)

    def _stream_live(self, blocks: Iterable[Tensor]) -> Iterator[Tensor]:
        """The stems as they come live, later by the latency, and what comes after the end."""
        live: LiveSeparator | None = None
        for block in blocks:
            live = live or self.live(len(block))
            yield from live.advance(block)
        if live is not None:
            yield live.flush()

    def _separate_shifted(self, blocks: Iterable[Tensor], shift: int, window: int, hop: int) -> Iterator[Tensor]:
        """Separate with the signal moved by ``shift`` zeros against the windows."""
        params = self.audio_params
        moved = (F.pad(block, (0 if number else shift, 0)) for number, block in enumerate(blocks))
        batch = items_at_once(params.batch_size, torch.get_num_threads()) if self._spreads else params.batch_size
        yield from drop_first(overlap_add(moved, self._batches, window, hop, batch, params.fade), shift)

    def _on_device(self, windows: Tensor) -> Tensor:
        return spread_over_cores(self._compute, windows) if self._spreads else self._compute(windows)

    @property
    def _spreads(self) -> bool:
        """On a processor of its own choice all cores are used; else the caller knows what else they do."""
        return self.device is not None and self.device.type == "cpu"

    def _compute(self, windows: Tensor) -> Tensor:
        windows = windows if self.device is None else windows.to(self.device)
        with computing(self.precision, windows.device):
            return self.network(windows).float().cpu()
