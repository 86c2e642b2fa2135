"""The network: against a slow reference written band by band, and by its invariants."""

import pytest
import torch
from torch import Tensor, nn

from demixer.model.bandsplitrnn import BandSplitRNN
from demixer.model.modules.band_sequence import TAC, ResidualRNN, TACConfig
from demixer.model.modules.band_split import BandSplit
from demixer.model.modules.bands import BandTable
from demixer.model.modules.mask_estimation import MaskConfig, MaskEstimation, TargetMask
from demixer.model.modules.normalisation import moments

WIDTHS = [2, 3, 2, 5]
BINS = sum(WIDTHS)


def mixture(batch: int = 1, channels: int = 2, frames: int = 7, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, BINS, frames, dtype=torch.complex64, generator=generator)


def network(**settings: object) -> BandSplitRNN:
    torch.manual_seed(0)
    return BandSplitRNN(WIDTHS, targets=2, features=8, repeats=2, **settings).eval()


def randomise(module: nn.Module) -> None:
    """Affine maps at their initial 1 and 0 would hide that they are forgotten."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)


def test_band_split_is_group_norm_and_linear_per_band() -> None:
    split = BandSplit(BandTable(WIDTHS), features=8)
    randomise(split)
    frames_first = torch.randn(7, 3, BINS, 2)  # (T, M, F, P)
    features = split(frames_first)  # (K, T, M, N)
    start = 0
    for k, width in enumerate(WIDTHS):
        group = next(i for i, g in enumerate(split.table.groups) if k in g.bands)
        g, projection = split.table.groups[group].bands.index(k), split.projections[group]
        band = frames_first[:, :, start : start + width].flatten(2).permute(1, 2, 0)  # (M, 2 · width, T)
        normalised = nn.functional.group_norm(band, 1, projection.norm_weight[g], projection.norm_bias[g])
        expected = nn.functional.linear(normalised.mT, projection.linear.weight[g], projection.linear.bias[g])
        torch.testing.assert_close(features[k].transpose(0, 1), expected, atol=1e-5, rtol=1e-4)
        start += width


def test_mask_estimation_is_norm_mlp_and_glu_per_band() -> None:
    config = MaskConfig(hidden_factor=3, hidden_layers=2)
    estimation = MaskEstimation([TargetMask(BandTable(WIDTHS), 8, config) for _ in range(2)])
    randomise(estimation)
    features = torch.randn(len(WIDTHS), 7, 3, 8)  # (K, T, M, N)
    masks = estimation(features)  # (S, T, M, F, P)
    assert masks.shape == (2, 7, 3, BINS, 2)
    for s, estimator in enumerate(estimation.estimators):
        start = 0
        for k, width in enumerate(WIDTHS):
            group = next(i for i, g in enumerate(estimator.table.groups) if k in g.bands)
            g, output = estimator.table.groups[group].bands.index(k), estimator.outputs[group]
            first, hidden = estimator.first, estimator.hidden[0]
            band = features[k].permute(1, 2, 0)  # (M, N, T)
            x = nn.functional.group_norm(band, 1, first.norm_weight[k], first.norm_bias[k]).mT
            for layer, i in ((first.linear, k), (hidden, k)):
                x = torch.tanh(nn.functional.linear(x, layer.weight[i], layer.bias[i]))
            x = nn.functional.glu(nn.functional.linear(x, output.weight[g], output.bias[g]))  # (M, T, 2 · width)
            expected = x.unflatten(-1, (width, 2)).transpose(0, 1)
            torch.testing.assert_close(masks[s, :, :, start : start + width], expected, atol=1e-5, rtol=1e-4)
            start += width


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_residual_rnn_is_group_norm_rnn_and_fc_along_its_first_axis(kind: str) -> None:
    block = ResidualRNN(8, 12, kind, dropout=0.0)
    randomise(block.norm)
    x = torch.randn(5, 4, 3, 8)
    sequences = x.flatten(1, 2).permute(1, 2, 0)  # (A · M, N, steps)
    hidden, _ = block.rnn(block.norm(sequences).permute(2, 0, 1))
    torch.testing.assert_close(block(x), x + block.fc(hidden).reshape(x.shape), atol=1e-5, rtol=1e-4)


def test_tac_gives_every_channel_the_mean_of_all() -> None:
    tac = TAC(4, TACConfig(factor=2, activation="tanh"))
    x = torch.randn(3, 5, 2 * 2, 4)  # two items of two channels
    changed = x.clone()
    changed[:, :, 1] += 1  # the second channel of the first item
    difference = (tac(changed, channels=2) - tac(x, channels=2)).abs().amax((0, 1, 3))
    assert difference[0] > 1e-3  # the other channel of that item sees it
    assert difference[2:].max() == 0  # the other item does not
    with pytest.raises(ValueError, match="'relu'"):
        TAC(4, TACConfig(activation="relu"))


def test_the_papers_network_processes_channels_independently() -> None:
    net, both = network(), mixture()
    alone = torch.cat([net(both[:, :1]), net(both[:, 1:])], dim=2)
    torch.testing.assert_close(net(both), alone, atol=1e-5, rtol=1e-4)


def test_with_tac_the_channels_see_each_other() -> None:
    net, both = network(tac={}), mixture()
    alone = torch.cat([net(both[:, :1]), net(both[:, 1:])], dim=2)
    assert (net(both) - alone).abs().max() > 1e-3


@pytest.mark.parametrize("settings", [{}, {"tac": {}, "attention": {"width": 4}}, {"rnn": "gru"}])
def test_items_of_a_batch_do_not_see_each_other(settings: dict) -> None:
    net, batch = network(**settings), mixture(batch=3)
    together = net(batch)
    assert together.shape == (3, 2, 2, BINS, 7)
    torch.testing.assert_close(together[1:2], net(batch[1:2]), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 50])
def test_any_number_of_frames_and_channels(frames: int) -> None:
    net = network(tac={}, attention={"width": 4})
    for channels in (1, 2):
        assert net(mixture(channels=channels, frames=frames)).shape == (1, 2, channels, BINS, frames)


def test_silence_stays_silent() -> None:
    assert network()(torch.zeros(1, 2, BINS, 5, dtype=torch.complex64)).abs().max() == 0


@pytest.mark.parametrize("settings", [{}, {"tac": {}, "attention": {"width": 4}}])
def test_every_parameter_learns(settings: dict) -> None:
    net = network(**settings).train()
    net(mixture()).abs().sum().backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rnn": "conv"}, "`rnn` .='conv'. must be one of"),
        ({"attention": {"heads": 3}}, "`features` .=8. must be divisible by `attention.heads` .=3."),
    ],
)
def test_impossible_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**settings)


@pytest.mark.parametrize("dim", [0, 1])
def test_moments_are_variance_and_mean(dim: int) -> None:
    x = torch.randn(5, 4, 3, 8, generator=torch.Generator().manual_seed(0)) * 3 + 1
    variance, mean = moments(x, dim)
    torch.testing.assert_close(mean, x.mean((dim, 3), keepdim=True))
    torch.testing.assert_close(variance, x.double().var((dim, 3), correction=0, keepdim=True).float())


@pytest.mark.parametrize("settings", [{}, {"tac": {}, "attention": {"width": 4}}])
@torch.no_grad()
def test_real_arithmetic_computes_what_complex_does(settings: dict) -> None:
    net, spectrum = network(**settings), mixture(batch=3)
    estimates = net.forward_real(torch.view_as_real(spectrum.mT))
    torch.testing.assert_close(torch.view_as_complex(estimates.contiguous()).mT, net(spectrum), atol=1e-6, rtol=1e-5)


@torch.no_grad()
def test_the_song_itself_is_not_rounded_under_autocast() -> None:
    model, features = network(), []
    model.split.register_forward_hook(lambda module, inputs, output: features.append(output))
    for enabled in (False, True):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            model(mixture())
    torch.testing.assert_close(features[1], features[0], rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # torch hides it itself, unless warnings are errors
def test_compiled_parts_compute_the_same() -> None:
    """Traced, but run without the compiler proper, which takes a minute."""
    net, traced = network(tac={}, attention={"width": 4}), []
    expected = net(mixture())

    def backend(graph: torch.fx.GraphModule, _: list) -> object:
        traced.append(graph)
        return graph.forward

    net.compile(backend=backend)
    torch.testing.assert_close(net(mixture()), expected, atol=1e-6, rtol=1e-4)
    assert traced
