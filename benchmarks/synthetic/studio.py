"""What happens to an instrument between the player and the stem: amplifier, saturation, place, room, level."""

import math
from dataclasses import dataclass
from random import Random

import numpy as np
import torch
from scipy import signal
from torch import Tensor

from demixer.data.augmentations.compressor import Setting, compressor
from demixer.data.augmentations.reverb import Room, room_response
from synthetic.biquads import bell, high_shelf
from synthetic.rendering import RATE_HZ

_OVERSAMPLING = 4  # a saturated guitar's overtones go far beyond the band, and would be folded back …
_FOLDING_DB = 4.0  # … if it is driven more than so
_BIAS = 0.2  # the tube's working point …
_COUPLING_HZ, _BOX_HZ = 15.0, 70.0  # … whose offset the next stage does not see, nor a loudspeaker the lowest notes
_PRESENCE = 2800.0, 4.0, 1.0  # Hz, dB, octaves: of a guitar's loudspeaker
_KNEE, _PEAK = 0.6, 0.99
_RUMBLE_HZ = 32.0
_SILENCE = 1e-9

# Of MUSDB18's training stems (excerpts of seven seconds, the 14 validation songs left out): median RMS of those that
# sound, and the standard deviation of their level.
LEVELS = {"drums": (0.062, 4.0), "bass": (0.069, 4.5), "other": (0.072, 3.3)}

# What sampled instruments lack, or have too much of, against the same stems' long-term spectra: bells (Hz, dB, octaves)
# and high shelves (Hz, dB). Each song draws its own around them.
BELLS = {"drums": ((63, 5, 1.2), (200, 2.5, 1.5)), "bass": ((85, 2.5, 1.6),), "other": ((100, 6, 1.5),)}
SHELVES = {"drums": ((700, -4), (9000, -4)), "bass": ((280, -7), (1500, 5)), "other": ((5000, -7), (10_000, -1))}
_COLOUR_SPREAD_DB = 2.5


@dataclass(frozen=True)
class Chain:
    """What a player's sound goes through.

    Args:
        drive_db: gain before the saturation, over an RMS of 1; None: none.
        cabinet_hz: above it a guitar's loudspeaker is silent; None: none.
        pan: −1 (left) … 1 (right).
        width: how much of what differs between left and right stays.
        room: around it.
        level_db: against the stem's other instruments.
    """

    drive_db: float | None = None
    cabinet_hz: float | None = None
    pan: float = 0.0
    width: float = 1.0
    room: Room | None = None
    level_db: float = 0.0


def process(audio: Tensor, chain: Chain) -> Tensor:
    """(2, L) → (2, L), at an RMS of 1 · ``level_db`` where it sounds."""
    middle, side = audio.mean(0), (audio[0] - audio[1]) / 2 * chain.width
    audio = torch.stack((middle + side, middle - side))
    if chain.drive_db is not None:
        audio = _amplifier(audio, chain.drive_db, chain.cabinet_hz)
    angle = (chain.pan + 1) * math.pi / 4
    audio = audio * torch.tensor([[math.cos(angle)], [math.sin(angle)]]) * math.sqrt(2)
    if chain.room is not None:
        audio = audio + _reflections(audio, chain.room)
    return audio / max(sounding_rms(audio), _SILENCE) * 10 ** (chain.level_db / 20)


def _reflections(audio: Tensor, room: Room) -> Tensor:
    """What the augmentation adds, but block by block: a whole song's transform takes three times as long."""
    wet = signal.oaconvolve(audio.numpy(), room_response(room, 2, RATE_HZ).numpy(), axes=-1)
    return torch.from_numpy(wet[:, : audio.shape[-1]].astype(np.float32))


def _amplifier(audio: Tensor, drive_db: float, cabinet_hz: float | None) -> Tensor:
    """Saturation, softer on one side as in a tube, and a loudspeaker, in front of which a guitar is mono."""
    if cabinet_hz is not None:
        tight = signal.butter(1, 90, "highpass", fs=RATE_HZ, output="sos")  # else chords turn to mud
        audio = torch.from_numpy(signal.sosfilt(tight, audio.mean(0, keepdim=True).numpy()).astype(np.float32))
    louder = audio * (10 ** (drive_db / 20) / max(sounding_rms(audio), _SILENCE))
    times = _OVERSAMPLING if drive_db > _FOLDING_DB else 1
    fine = signal.resample_poly(louder.numpy(), times, 1, axis=-1) if times > 1 else louder.numpy()
    shaped = np.tanh(fine + _BIAS) - math.tanh(_BIAS)
    coarse = signal.resample_poly(shaped, 1, times, axis=-1) if times > 1 else shaped
    sections = [signal.butter(2, _COUPLING_HZ if cabinet_hz is None else _BOX_HZ, "highpass", fs=RATE_HZ, output="sos")]
    if cabinet_hz is not None:
        sections += [signal.butter(4, cabinet_hz, fs=RATE_HZ, output="sos"), np.array([bell(*_PRESENCE, RATE_HZ)])]
    coarse = signal.sosfilt(np.concatenate(sections), coarse)
    coarse = coarse.repeat(2 // len(coarse), axis=0)
    return torch.from_numpy(coarse.astype(np.float32))


def sounding_rms(audio: Tensor) -> float:
    """RMS over the tenths of a second that lie within 50 dB of the loudest; 0 of silence."""
    frames = audio[..., : audio.shape[-1] // (RATE_HZ // 10) * (RATE_HZ // 10)].unflatten(-1, (-1, RATE_HZ // 10))
    energy = frames.square().mean((0, 2))
    return float(energy[energy > energy.max() * 1e-5].mean().sqrt()) if energy.numel() and energy.max() > 0 else 0.0


def finish(stem: Tensor, source: str, random: Random) -> Tensor:
    """Mix a stem: its colour, its dynamics, and its level, as MUSDB18's have them; peaks are rounded, not cut."""
    median_rms, spread_db = LEVELS[source]
    setting = Setting(
        threshold_db=random.uniform(2, 12),  # above the RMS: it works on peaks
        ratio=random.uniform(1.5, 4),
        attack_seconds=random.uniform(0.003, 0.03),
        release_seconds=random.uniform(0.08, 0.3),
    )
    coloured = _coloured(stem, source, random)
    stem = compressor(coloured / max(sounding_rms(coloured), _SILENCE), setting, RATE_HZ)
    level = median_rms * 10 ** (min(max(random.gauss(0, spread_db), -8), 6) / 20)
    stem = stem * (level / max(sounding_rms(stem), _SILENCE))
    above = (stem.abs() - _KNEE).clamp_min(0)
    return stem.sign() * (stem.abs().clamp_max(_KNEE) + (_PEAK - _KNEE) * (above / (_PEAK - _KNEE)).tanh())


def _coloured(stem: Tensor, source: str, random: Random) -> Tensor:
    def drawn(gain_db: float) -> float:
        return random.gauss(gain_db, _COLOUR_SPREAD_DB)

    sections = [bell(hz, drawn(gain_db), octaves, RATE_HZ) for hz, gain_db, octaves in BELLS[source]]
    sections += [high_shelf(hz, drawn(gain_db), 0.5, RATE_HZ) for hz, gain_db in SHELVES[source]]
    rumble = signal.butter(2, _RUMBLE_HZ, "highpass", fs=RATE_HZ, output="sos")
    filtered = signal.sosfilt(np.concatenate((rumble, np.array(sections))), stem.numpy())
    return torch.from_numpy(filtered.astype(np.float32))
