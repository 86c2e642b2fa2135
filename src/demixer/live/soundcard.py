"""Sound in and out of the machine's devices, through PortAudio."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from types import ModuleType
from typing import Any, NoReturn, Self

import numpy as np
import torch

from demixer.errors import UserError, one_line
from demixer.live.guard import Guard
from demixer.live.pcm import LOUD
from demixer.live.stats import Stats

TOLD_SECONDS = 1.0
QUIET_SECONDS = 3.0  # without a block, a device is gone: not every driver tells
XRUNS = ("input_underflow", "input_overflow", "output_underflow", "output_overflow")


def portaudio() -> ModuleType:
    """The module ``sounddevice``.

    Raises:
        UserError: it, or PortAudio, is not installed.
    """
    try:
        import sounddevice
    except ModuleNotFoundError as error:
        raise UserError(f"a sound card needs {error.name}: pip install 'music-demixer[live]'") from error
    except OSError as error:  # on Windows and macOS the package brings PortAudio along
        raise UserError(f"a sound card needs PortAudio: apt install libportaudio2 ({one_line(error)})") from error
    except Exception as error:  # PortAudio is started by the import, and its class of errors is not there yet
        if type(error).__name__ != "PortAudioError":
            raise
        raise UserError(f"PortAudio does not start: {one_line(error)}") from error
    return sounddevice


def devices() -> str:
    """A line for each device: its number, its name, and its channels in and out.

    Raises:
        UserError: as :func:`portaudio`.
    """
    return str(portaudio().query_devices()) or "there is no sound device"


@dataclass(frozen=True)
class Card:
    """An input and an output that keep the same time.

    Args:
        input: number, or part of the name, of a device; None: the default one.
        output: the same.
    """

    input: int | str | None = None
    output: int | str | None = None

    @classmethod
    def named(cls, *devices: str | None) -> Self | None:
        """The devices as they are typed, by number or name; None where neither is named."""
        return cls(*(int(text) if text and text.isdigit() else text for text in devices)) if any(devices) else None

    def play(self, guard: Guard, stats: Stats, told: Callable[[], object] = lambda: None) -> NoReturn:
        """Play until an exception, as that of Ctrl-C, ends it.

        Args:
            guard: gives a block for each block; its backlog is worked on elsewhere.
            stats: is kept.
            told: is called every second.

        Raises:
            UserError: there are no such devices, they do not take the rate or the channels, or they have stopped.
        """
        sounddevice = portaudio()
        callback = Callback(guard, stats, sounddevice.CallbackAbort)
        stream = self._started(sounddevice, guard, callback)
        try:
            blocks, quiet_seconds = 0, 0.0
            while quiet_seconds < QUIET_SECONDS and not callback.ended.wait(TOLD_SECONDS):
                quiet_seconds = quiet_seconds + TOLD_SECONDS if stats.blocks == blocks else 0.0
                blocks = stats.blocks
                told()
        finally:
            stream.close()
        if callback.fault is not None:
            raise callback.fault
        raise UserError(f"the sound devices ({self}) have stopped: is one unplugged?")

    def _started(self, sounddevice: ModuleType, guard: Guard, callback: "Callback") -> Any:
        try:
            stream = sounddevice.Stream(
                samplerate=guard.mix.sample_rate_hz,
                blocksize=guard.block_samples,
                device=(self.input, self.output),
                channels=(guard.mix.channels, guard.mix.channels_out),
                dtype="float32",
                latency="low",
                callback=callback,
                finished_callback=callback.ended.set,
            )
            stream.start()
        except (sounddevice.PortAudioError, ValueError) as error:  # ValueError: none, or several, of that name
            raise UserError(f"the sound devices ({self}): {one_line(error)} (see --list-devices)") from error
        return stream

    def __str__(self) -> str:
        return ", ".join(
            f"{way} {'default' if device is None else device}"
            for way, device in (("in", self.input), ("out", self.output))
        )


class Callback:
    """What PortAudio calls, from a thread of its own.

    Attributes:
        ended: is set when PortAudio calls no more.
        fault: what the network raised, if that is why.
    """

    def __init__(self, guard: Guard, stats: Stats, abort: type[Exception]) -> None:
        self._guard, self._stats, self._abort = guard, stats, abort
        self.ended, self.fault = Event(), None

    def __call__(self, heard: np.ndarray, played: np.ndarray, samples: int, times: Any, status: Any) -> None:
        """Fill ``played`` (N, B · C) for ``heard`` (N, C), at once."""
        mixture = torch.from_numpy(heard.T.copy())
        broken = ~(mixture.abs() <= LOUD)  # NaN, too: some drivers give what lay in their memory
        mixture[broken] = 0.0
        self._stats.xruns += any(getattr(status, kind) for kind in XRUNS) or bool(broken.any())
        try:
            played[:] = self._guard.tick(mixture).T.numpy()
        except Exception as fault:  # which PortAudio could not hand on
            self.fault = fault
            raise self._abort from fault
        of_devices = times.outputBufferDacTime - times.inputBufferAdcTime - samples / self._stats.sample_rate_hz
        self._stats.passed(samples, samples, max(0.0, of_devices))
