"""The RoFormers by their invariants; test_msst.py holds them against the code that the field uses."""

import copy
import math
import threading
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from test_variants import network as composed_network
from tiny_runs import go_on, tiny_run
from torch import Tensor, nn

from demixer.checkpoints.hparams import read_hparams
from demixer.errors import UserError
from demixer.model.building import build_network
from demixer.model.modules import transformer
from demixer.model.modules.attention import Attention, LinearAttention, TransformerConfig
from demixer.model.modules.bands import BandTable
from demixer.model.modules.hyper_connections import doubly_stochastic
from demixer.model.modules.mel_bands import mel_bands
from demixer.model.modules.polar import PolarPositions, polar_frequencies
from demixer.model.modules.rotary import rotary_frequencies, rotary_table, rotate
from demixer.model.modules.transformer import Transformer
from demixer.model.roformer import BSRoFormer, MelBandRoFormer, RoFormer
from demixer.separation.separator import Separator

WIDTHS = [2, 3, 2, 10]
BINS = sum(WIDTHS)
TINY = ("model.features=8", "model.repeats=2", "model.heads=2", "model.head_width=4")
MODEL = {"features": 8, "repeats": 2, "heads": 2, "head_width": 4}
SMALL = {
    "targets": ["vocals", "drums"],
    "featurizer": {"n_fft": 32, "hop_samples": 8, "sample_rate_hz": 8000},
    "bands_bins": WIDTHS,
    "model": {"architecture": "bs_roformer", **MODEL},
}
NEWER = {"positions": "pope", "value_residuals": "lerp", "streams": 2, "fractions": 2}
NEW = SMALL | {"model": {"architecture": "bs_roformer", **MODEL, **NEWER, "linear_depth": 1}}
MEL = SMALL | {"model": {"architecture": "mel_band_roformer", "mel_bands": 5, **MODEL}}


def network(kind: type[RoFormer] = BSRoFormer, **settings: object) -> RoFormer:
    torch.manual_seed(0)
    bands = {"widths": WIDTHS}
    if kind is MelBandRoFormer:
        first_bins, widths = mel_bands(5, 32, 8000)
        bands = {"widths": widths, "first_bins": first_bins}
    net = kind(targets=2, **bands, **{**MODEL, **settings}).eval().requires_grad_(False)
    for parameter in net.parameters():  # gains at their initial 1 would hide that they are forgotten
        parameter.add_(0.3 * torch.randn_like(parameter))
    return net


def mixture(batch: int = 1, channels: int = 2, frames: int = 7, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, BINS, frames, dtype=torch.complex64, generator=generator)


def test_rotary_angles_depend_on_distance_only() -> None:
    x = torch.randn(2, 6, generator=torch.Generator().manual_seed(0)).expand(
        50, 2, 6
    )  # the same two vectors at all positions
    turned = rotate(x, *rotary_table(rotary_frequencies(6), 50))
    products = turned[:, 0] @ turned[:, 1].T
    for distance in (0, 3, 20):
        torch.testing.assert_close(products.diagonal(distance), products[0, distance].expand(50 - distance))
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert (products[0, 1:4] - products[0, 0]).abs().min() > 1e-2


def test_attention_is_what_its_formula_says() -> None:
    torch.manual_seed(0)
    attention, x = Attention(8, TransformerConfig(heads=2, head_width=4, biases=True)).eval(), torch.randn(3, 5, 8)
    nn.init.normal_(attention.norm.weight)
    h = x / x.square().mean(-1, keepdim=True).sqrt() * attention.norm.weight
    q, k, v = attention.qkv(h).chunk(3, dim=-1)
    table = rotary_table(rotary_frequencies(4), 5)
    heads = []
    for i in range(2):
        own = [part[..., 4 * i : 4 * i + 4] for part in (q, k, v)]
        turned = [rotate(part.unsqueeze(2), *table).squeeze(2) for part in own[:2]]
        attended = (turned[0] @ turned[1].mT / math.sqrt(4)).softmax(-1) @ own[2]
        heads.append(attended * attention.gate(h)[..., i : i + 1].sigmoid())
    torch.testing.assert_close(attention.step(5)(x, None)[0], attention.out(torch.cat(heads, dim=-1)))


def test_linear_attention_does_not_know_the_order_of_positions() -> None:
    torch.manual_seed(0)
    attention, x = LinearAttention(8, TransformerConfig(heads=2, head_width=4)), torch.randn(2, 9, 8)
    order = torch.randperm(9)
    step = attention.step(9)
    torch.testing.assert_close(step(x[:, order], None)[0], step(x, None)[0][:, order])


def test_more_iterations_come_nearer_to_a_doubly_stochastic_matrix() -> None:
    logarithms = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0))
    apart = [(doubly_stochastic(logarithms, count).sum(-2) - 1).abs().max() for count in (1, 2, 20)]
    assert apart[0] > 0.05
    assert apart[0] > apart[1] > apart[2]
    assert apart[2] < 1e-4
    torch.testing.assert_close(doubly_stochastic(logarithms, 2).sum(-1), torch.ones(3, 4))


def test_polar_angles_depend_on_distance_and_offset_only() -> None:
    positions, rows = PolarPositions(1, 6), torch.randn(1, 2, 6, generator=torch.Generator().manual_seed(0))
    nn.init.uniform_(positions.offsets, -3, 0)
    turned = positions(rows.expand(40, 2, 6).unsqueeze(0), positions.table(40))[0]
    products = turned[:, 0] @ turned[:, 1].T
    magnitudes = F.softplus(rows[0])
    for distance in (0, 7):
        angles = distance * polar_frequencies(6) + positions.offsets[0]
        expected = (magnitudes.prod(0) * angles.cos()).sum()
        torch.testing.assert_close(products.diagonal(distance), expected.expand(40 - distance))


def test_the_first_values_reach_later_modules() -> None:
    net = network(repeats=2, value_residuals="lerp")
    heard = mixture()
    expected = net(heard)
    for gate in (net.sequence[1].time.layers[0].mix, net.sequence[1].band.layers[0].mix):
        gate.weight.zero_()
        gate.bias.fill_(-40.0)  # nothing of the first's
    alone = net(heard)
    assert (alone - expected).abs().max() > 1e-3
    plain = network(repeats=2)
    plain.load_state_dict({key: value for key, value in net.state_dict().items() if ".mix." not in key})
    torch.testing.assert_close(plain(heard), alone)


def test_bins_outside_of_the_bands_are_left_out() -> None:
    hparams = SMALL | {"bands_bins": [2, 3], "model": SMALL["model"] | {"first_bin": 4}}
    net = build_network(hparams).eval().bandsplitrnn
    with torch.no_grad():
        estimates = net(mixture())
    assert estimates[:, :, :, 4:9].abs().min() > 0
    assert estimates[:, :, :, :4].abs().max() == estimates[:, :, :, 9:].abs().max() == 0
    with pytest.raises(UserError, match="`bands_bins` reach 5 bins up from 13, of 17"):
        build_network(hparams | {"model": SMALL["model"] | {"first_bin": 13}})


@pytest.mark.parametrize("rows", [1, 9, 40])
def test_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    block = Transformer.of(8, 2, TransformerConfig(heads=2, head_width=4), normed=True)
    x = torch.randn(4, 6, 3, 8).transpose(0, 1)
    expected = block(x)[0]  # with gradients: at once
    monkeypatch.setattr(transformer, "TILE_ROWS", rows)
    with torch.no_grad():
        torch.testing.assert_close(block(x)[0], expected)


def test_without_gradients_there_are_none() -> None:
    block, x = Transformer.of(8, 1, TransformerConfig(heads=2, head_width=4), normed=True), torch.randn(4, 6, 3, 8)
    with torch.no_grad():
        assert not block(x)[0].requires_grad
    with torch.inference_mode():
        assert block(x)[0].is_inference()


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_sequences_are_spread_over_the_cores(monkeypatch: pytest.MonkeyPatch, precision: torch.dtype) -> None:
    block, seen = Transformer.of(8, 1, TransformerConfig(heads=2, head_width=4), normed=False), set()
    add = block._add
    monkeypatch.setattr(block, "_add", lambda *parts: seen.add(threading.get_ident()) or add(*parts))
    x, before = torch.randn(6, 4, 1, 8), torch.get_num_threads()
    with torch.inference_mode(), torch.autocast("cpu", precision, enabled=precision != torch.float32):
        torch.set_num_threads(1)
        alone = block(x)[0]
        assert len(seen) == 1
        torch.set_num_threads(2)
        together = block(x)[0]
    torch.set_num_threads(before)
    assert seen > {threading.get_ident()}  # one other thread or two, as they are free
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("kind", [BSRoFormer, MelBandRoFormer])
def test_items_do_not_hear_each_other_but_channels_do(kind: type[RoFormer]) -> None:
    net, heard = network(kind), mixture(batch=2)
    estimates = net(heard)
    assert estimates.shape == (2, 2, 2, BINS, 7)
    changed = heard.clone()
    changed[0, 1] *= torch.linspace(0, 2, 7)
    difference = (net(changed) - estimates).abs().amax((1, 3, 4))
    assert difference[0, 0] > 1e-4
    assert difference[1].max() < 1e-6


def test_one_channel_is_heard_as_two_equal_ones_and_three_are_refused() -> None:
    net, mono = network(), mixture(channels=1)
    torch.testing.assert_close(net(mono), net(mono.expand(-1, 2, -1, -1)).mean(2, keepdim=True))
    with pytest.raises(ValueError, match="has 3 channels: this network takes 1 or 2"):
        net(mixture(channels=3))


def test_a_network_of_one_channel_hears_each_by_itself() -> None:
    net, heard = network(channels=1), mixture(channels=2)
    torch.testing.assert_close(net(heard)[:, :, 1:], net(heard[:, 1:]))


@pytest.mark.parametrize("kind", [BSRoFormer, MelBandRoFormer])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("more", [{}, NEWER], ids=["", "new"])
def test_real_arithmetic_computes_what_complex_does(kind: type[RoFormer], channels: int, more: dict) -> None:
    net, heard = network(kind, linear_depth=1, **more), mixture(channels=channels)
    estimates = net.forward_real(torch.view_as_real(heard.mT))
    torch.testing.assert_close(torch.view_as_complex(estimates.contiguous()).mT, net(heard), atol=1e-5, rtol=1e-4)


def test_level_changes_the_level_only_and_silence_stays_silence() -> None:
    net, heard = network(), mixture()
    torch.testing.assert_close(net(100 * heard), 100 * net(heard), atol=1e-4, rtol=1e-4)
    assert net(torch.zeros_like(heard)).abs().max() == 0


def test_a_skip_is_the_sum_of_all_earlier_outputs() -> None:
    net, x = network(repeats=3, skip=True), torch.randn(4, 7, 1, 8)
    a, b, c = net.sequence
    first = a(x, 1)
    second = b(first + first, 1)
    torch.testing.assert_close(net.run_sequence(x, 1), c(second + first + second, 1))


def test_zero_dc_takes_the_lowest_bin_and_no_other() -> None:
    heard = mixture()
    kept, without = network()(heard), network(zero_dc=True)(heard)
    assert without[:, :, :, 0].abs().max() == 0
    assert torch.equal(without[:, :, :, 1:], kept[:, :, :, 1:])


@pytest.mark.parametrize(("count", "n_fft", "rate_hz"), [(60, 2048, 44100), (20, 512, 16000), (5, 32, 8000)])
def test_mel_bands_cover_every_bin_once_or_twice(count: int, n_fft: int, rate_hz: int) -> None:
    first_bins, widths = mel_bands(count, n_fft, rate_hz)
    assert len(widths) == count
    assert first_bins == sorted(first_bins)
    covered = torch.zeros(n_fft // 2 + 1)
    for first, width in zip(first_bins, widths, strict=True):
        covered[first : first + width] += 1
    assert set(covered.tolist()) == {1.0, 2.0}


def test_masks_are_averaged_where_bands_overlap() -> None:
    table = BandTable([2, 3, 3, 2], first_bins=[0, 1, 3, 4])
    values = torch.randn(5, 6, 2)  # (M, F, P)
    parts = [part.clone() for part in table.split(values)]  # (G, M, width · P)
    torch.testing.assert_close(table.join_bins(parts, 2), values)  # equal masks: their mean is each of them
    parts[0][0] += 2.0  # the first band alone: bin 0 is its own, bin 1 another's, too
    added = table.join_bins(parts, 2) - values
    torch.testing.assert_close(added[:, :, 0], torch.tensor([2.0, 1, 0, 0, 0, 0]).expand(5, 6))


@pytest.mark.parametrize(
    ("bands", "message"), [(0, "must be a whole number from 1"), (200, "leave a band"), ("x", "describe no")]
)
def test_impossible_mel_bands_are_refused(bands: object, message: str) -> None:
    featurizer = {"n_fft": 512, "hop_samples": 128, "sample_rate_hz": 44100}
    with pytest.raises(UserError, match=message):
        build_network({**MEL, "featurizer": featurizer, "model": {**MEL["model"], "mel_bands": bands}})


@pytest.mark.parametrize("sizes", [{"head_width": 3}, {"heads": 0}, {"rnn": "lstm"}])
def test_impossible_sizes_are_refused(sizes: dict) -> None:
    with pytest.raises(UserError, match="settings describe no network"):
        build_network({**SMALL, "model": {**SMALL["model"], **sizes}})


@pytest.mark.parametrize("model", ["bs_roformer_small", "mel_band_roformer_small"])
def test_small_versions_run_at_any_target(model: str) -> None:
    net = composed_network(f"model={model}", "target=all", *TINY).eval()
    with torch.inference_mode():
        estimates = net(torch.randn(1, 2, 3000))
        part = net.only(["drums"])(torch.zeros(1, 2, 3000))
    assert estimates.shape == (1, 4, 2, 3000)
    assert part.shape == (1, 1, 2, 3000)
    assert torch.isfinite(estimates).all()


@pytest.mark.parametrize("hparams", [SMALL, MEL, NEW], ids=["bs", "mel", "new"])
def test_low_precision_stays_close(hparams: dict) -> None:
    torch.manual_seed(0)
    net, heard = build_network(hparams).eval(), torch.randn(2, 2, 400)
    with torch.inference_mode():
        expected = net(heard)
        with torch.autocast("cpu", torch.bfloat16):
            estimates = net(heard)
    assert estimates.dtype == torch.float32
    assert 0 < (estimates - expected).norm() < 0.03 * expected.norm()


@pytest.mark.parametrize("more", [{"skip": True, "linear_depth": 1}, NEW["model"]], ids=["skip", "new"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_checkpointing_gives_the_same_gradients(precision: str, more: dict) -> None:
    torch.manual_seed(0)
    net = build_network(SMALL | {"model": SMALL["model"] | more})
    for parameter in net.parameters():  # some begin at 0, and would hold others' gradients there
        parameter.data.add_(0.1 * torch.randn_like(parameter))
    again, heard, gradients = copy.deepcopy(net), torch.randn(1, 2, 200), []
    again.bandsplitrnn.checkpointing = True
    for one in (net, again):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            one(heard).square().sum().backward()
        gradients.append([parameter.grad for parameter in one.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    unused = [name for (name, _), own in zip(net.named_parameters(), gradients[0], strict=True) if not own.abs().max()]
    equal_streams = "bandsplitrnn.sequence.0.linear.connections.0.kept_scale"  # mixing them changes none
    assert set(unused) <= {equal_streams}


def test_compiling_changes_nothing() -> None:
    net, traced = network(MelBandRoFormer, repeats=1), []
    expected = net(mixture())

    def backend(graph: torch.fx.GraphModule, _: list) -> object:
        traced.append(graph)
        return graph.forward

    net.compile(backend=backend)
    torch.testing.assert_close(net(mixture()), expected, atol=1e-6, rtol=1e-4)
    assert traced


def test_a_run_is_trained_resumed_and_begun_with(comb_musdb: Path, tmp_path: Path) -> None:
    short = [f"data.roots=[{comb_musdb}]", "data.samples_per_epoch=4", "data.batch_size=2"]
    model = ["model=mel_band_roformer_small", "model.mel_bands=12", *TINY]
    tiny_run(tmp_path / "run", *short, *model, "trainer.max_epochs=1")
    go_on(tmp_path / "run", "trainer.max_epochs=2", ckpt_path=tmp_path / "run/weights/last.ckpt")
    assert read_hparams(tmp_path / "run")["model"]["mel_bands"] == 12
    tiny_run(tmp_path / "tuned", *short, "trainer.max_epochs=1", f"init={tmp_path / 'run'}")
    separator = Separator.from_pretrained(tmp_path / "tuned", device="cpu")
    assert isinstance(separator.network.bandsplitrnn, MelBandRoFormer)
    stems = separator(torch.randn(2, 5000))
    assert all(stem.shape == (2, 5000) for stem in stems.values())
