"""The Fourier transform and its inverse."""

import math

import pytest
import torch

from demixer.model.modules.spectrogram import Spectrogram


@pytest.mark.parametrize("hop", [256, 512, 1000, 1024])
@pytest.mark.parametrize("length", [1, 511, 512, 1024, 1025, 2047, 5000, 44100])
def test_inverse_gives_the_waveform_back(hop: int, length: int) -> None:
    spectrogram = Spectrogram(2048, hop)
    waveform = torch.randn(2, 3, length, generator=torch.Generator().manual_seed(0))
    back = spectrogram.inverse(spectrogram(waveform), length)
    assert back.shape == waveform.shape
    torch.testing.assert_close(back, waveform, atol=2e-6, rtol=0)


@pytest.mark.parametrize("hop", [256, 441, 1024])
def test_inverse_of_what_is_no_signals_spectrogram_is_pytorchs(hop: int) -> None:
    spectrogram, length = Spectrogram(2048, hop), 20_000
    spectrum = torch.randn(3, 1025, spectrogram(torch.zeros(length)).shape[-1], dtype=torch.complex64)
    window, padded = spectrogram.window, spectrogram.padded_length(length)
    truth = torch.istft(spectrum, 2048, hop, window=window, length=padded)[:, :length]
    torch.testing.assert_close(spectrogram.inverse(spectrum, length), truth, atol=1e-5, rtol=0)


def test_a_tone_stands_in_its_bin_at_its_level() -> None:
    sample_rate_hz, bin_number, amplitude = 44100, 100, 0.5
    time = torch.arange(sample_rate_hz) / sample_rate_hz
    tone = amplitude * torch.sin(2 * math.pi * bin_number * sample_rate_hz / 2048 * time)
    magnitude = Spectrogram(2048, 512)(tone[None])[0, :, 20].abs()
    assert magnitude.argmax() == bin_number
    # a Hann window's mean is 1/2, and half of a sine's amplitude stands at the positive frequency
    assert magnitude[bin_number] == pytest.approx(amplitude / 2 * 2048 / 2, rel=1e-3)


def test_memory_is_frame_major() -> None:
    spectrum = Spectrogram(2048, 512)(torch.randn(1, 2, 10_000))
    assert spectrum.stride(-2) == 1  # a frame's bins lie side by side, which the band split relies on


@pytest.mark.parametrize("hop", [0, 1025])
def test_a_hop_that_leaves_gaps_is_refused(hop: int) -> None:
    with pytest.raises(ValueError, match=f"hop_samples.*{hop}"):
        Spectrogram(2048, hop)


@pytest.mark.parametrize("n_fft", [0, 1, -2048, 1 << 21])
def test_a_transform_of_no_length_or_of_minutes_is_refused(n_fft):
    with pytest.raises(ValueError, match=r"`n_fft` \(=-?\d+\) must lie in 2 … 1048576"):
        Spectrogram(n_fft, 1)
