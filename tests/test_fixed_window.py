"""The network of amanteur's and crlandsc's checkpoints, by its invariants; test_layouts.py holds it against theirs."""

import pytest
import torch
from torch import Tensor

from demixer.model.building import build_network
from demixer.model.layouts.fixed_window import FixedWindowRNN, FramesLastMask, PerFeatureRNN
from demixer.model.modules.bands import BandTable
from demixer.model.modules.mask_estimation import MaskConfig, TargetMask

WIDTHS, FRAMES = [2, 3, 4], 5


def network(frames_last: bool = False) -> FixedWindowRNN:
    torch.manual_seed(0)
    return FixedWindowRNN(WIDTHS, 2, FRAMES, frames_last, features=4, repeats=1).eval().requires_grad_(False)


def spectrum(batch: int = 3, channels: int = 2, frames: int = FRAMES) -> Tensor:
    shape = (batch, channels, sum(WIDTHS), frames)
    return 1 + torch.randn(shape, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))


def test_both_channels_enter_one_band_split() -> None:
    net, mixture = network(), spectrum()
    estimates = net(mixture)
    assert estimates.shape == (3, 2, 2, 9, FRAMES)
    changed = mixture.clone()
    changed[0, 1] += 1
    difference = (net(changed) - estimates).abs().amax((1, 3, 4))
    assert difference[0, 0] > 1e-3  # the other channel of that item sees it
    assert difference[1:].max() == 0  # the other items do not


def test_one_channel_is_heard_as_two_equal_ones() -> None:
    net, mono = network(), spectrum(channels=1)
    both = net(torch.cat([mono, mono], dim=1))
    assert (both[:, :, 0] - both[:, :, 1]).abs().max() > 1e-3
    torch.testing.assert_close(net(mono), both.mean(2, keepdim=True))


def test_standardising_undoes_itself() -> None:
    """With its masks at 1 the network gives the mixture back, and hears it at zero mean and unit deviation."""
    net, heard = network(), []

    def estimate_mask(values: Tensor, channels: int) -> Tensor:
        heard.append(values.unflatten(1, (-1, channels)))
        return torch.tensor([1.0, 0]).expand(2, *values.shape)

    net.estimate_mask = estimate_mask
    mixture = 3 + 2 * spectrum()
    torch.testing.assert_close(net(mixture)[:, 1], mixture, atol=1e-4, rtol=1e-4)
    (values,) = heard  # (T, B, C, F, 2)
    torch.testing.assert_close(values.mean((0, 2, 3)), torch.zeros(3, 2), atol=1e-5, rtol=0)
    count = values[:, 0, ..., 0].numel()
    torch.testing.assert_close(values.square().sum((0, 2, 3, 4)) / (count - 1), torch.ones(3), atol=1e-4, rtol=0)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("frames_last", [False, True])
def test_real_arithmetic_computes_what_complex_does(channels: int, frames_last: bool) -> None:
    net, mixture = network(frames_last), spectrum(channels=channels)
    estimates = net.forward_real(torch.view_as_real(mixture.mT))
    torch.testing.assert_close(torch.view_as_complex(estimates.contiguous()).mT, net(mixture), atol=1e-5, rtol=1e-4)


def test_features_are_normalised_one_by_one() -> None:
    block = PerFeatureRNN(8, 4)
    for parameter in block.norm.parameters():
        torch.nn.init.normal_(parameter)
    x = 2 + 3 * torch.randn(5, 4, 3, 8)  # (steps, A, M, N)
    sequences = x.permute(1, 2, 3, 0).flatten(0, 1)
    expected = torch.nn.functional.group_norm(sequences, 8, block.norm.weight, block.norm.bias)
    torch.testing.assert_close(block.normalise(x), expected.unflatten(0, (4, 3)).permute(3, 0, 1, 2))


def test_frames_last_reads_what_was_written_in_another_order() -> None:
    rows, values_per_bin, width = 2, 4, 5
    settings = (BandTable([width]), 3, MaskConfig(hidden_factor=1), values_per_bin)
    torch.manual_seed(0)
    mask, plain = FramesLastMask(*settings), TargetMask(*settings)
    outputs = torch.randn(1, FRAMES, rows, 2 * width * values_per_bin)
    written = plain.gate(outputs)[0].transpose(0, 1)  # (M, T, P · width)
    read = written.reshape(rows, values_per_bin, width, FRAMES)  # as the memory of an item lies
    part = mask.gate(outputs)  # (1, T, M, width · P)
    for t in range(FRAMES):
        for m in range(rows):
            assert torch.equal(part[0, t, m], read[m, :, :, t].T.flatten())


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="has 4 frames: this network takes 5 only"):
        network()(spectrum(frames=4))
    with pytest.raises(ValueError, match="has 3 channels: this network takes 1 or 2"):
        network()(spectrum(channels=3))


def test_a_short_mixture_is_followed_by_silence_and_a_long_one_refused() -> None:
    model = {"architecture": "fixed_window", "frames": 9, "features": 4, "repeats": 1}
    featurizer = {"n_fft": 16, "sample_rate_hz": 8000, "hop_samples": 4}
    net = build_network({"targets": ["x"], "featurizer": featurizer, "bands_bins": [2, 7], "model": model}).eval()
    assert net.window_samples == 32
    mixture = torch.randn(1, 2, 20)
    silent = torch.nn.functional.pad(mixture, (0, 12))
    assert torch.equal(net(mixture), net(silent)[..., :20])
    with pytest.raises(ValueError, match="has 33 samples: this network takes 32"):
        net(torch.zeros(1, 2, 33))
