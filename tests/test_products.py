"""Products by oneDNN on a processor: torch's values, only where they may be, and torch's own where there is none."""

from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from demixer.model.building import build_network
from demixer.model.modules import band_linear as bands
from demixer.model.modules import dot_product, products
from demixer.model.modules.dot_product import dot_product_attention
from demixer.model.modules.products import ACTIVATIONS, Linear, linear, prepared

able = pytest.mark.skipif(not products._number_formats(), reason="this torch has no oneDNN with these operators")
bf16 = pytest.mark.skipif(torch.bfloat16 not in products._number_formats(), reason="no bf16 in oneDNN here")
FORMATS = [torch.float32, pytest.param(torch.bfloat16, marks=bf16)]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[torch.dtype]:
    """The number format of each product that oneDNN's operator computes.

    It takes a thousand times as long for weights that do not lie side by side.
    """
    seen, own = [], products.in_onednn

    def counted(x: Tensor, weight: Tensor, *others: object) -> Tensor:
        assert weight.is_mkldnn or weight.is_contiguous()
        seen.append(x.dtype)
        return own(x, weight, *others)

    for module in (products, bands, dot_product):
        monkeypatch.setattr(module, "in_onednn", counted)
    return seen


@pytest.fixture(params=["missing", "switched off"])
def without(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A torch without the operator, or one that was told not to use oneDNN."""
    if request.param == "missing":
        monkeypatch.setattr(products, "_number_formats", lambda: ())
        yield
    else:
        with torch.backends.mkldnn.flags(enabled=False):
            yield


def apart(ours: Tensor, exact: Tensor) -> float:
    assert ours.shape == exact.shape
    return float((ours.double() - exact).norm() / exact.norm().clamp_min(1e-30))


@able
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("dtype", FORMATS)
def test_a_layers_values_are_torchs(calls: list, monkeypatch, dtype, activation: str, bias: bool) -> None:
    """Of any shape: a vector, no rows, one row, odd sizes, rows and weights that do not lie side by side."""
    monkeypatch.setattr(products, "SMALLEST", 0)
    torch.manual_seed(0)
    weights = [torch.randn(37, 29), torch.randn(37, 60)[:, 7:36], torch.randn(29, 37).T]
    inputs = [torch.randn(shape) for shape in ((29,), (0, 29), (1, 29), (3, 0, 29), (257, 29), (2, 5, 3, 29))]
    inputs += [torch.randn(29, 11).T, torch.randn(7, 4, 29).transpose(0, 1), torch.randn(9, 58)[:, ::2]]
    tolerance = 2e-6 if dtype == torch.float32 else 4e-3
    with torch.no_grad():
        for x in inputs:
            for weight in weights:
                x, weight = x.to(dtype), weight.to(dtype)
                offset = torch.randn(37).to(dtype) if bias else None
                exact = F.linear(x.double(), weight.double(), None if offset is None else offset.double())
                exact = ACTIVATIONS[activation][0](exact)
                for y in (linear(x, weight, offset, activation), prepared(weight, offset, activation)(x)):
                    assert y.dtype == dtype
                    assert apart(y, exact) < tolerance
    assert len(calls) == 2 * len(inputs) * len(weights)


@able
@pytest.mark.parametrize("activation", list(ACTIVATIONS))
@pytest.mark.parametrize("dtype", FORMATS)
def test_each_bands_values_are_those_of_all_at_once(calls: list, monkeypatch, dtype, activation: str) -> None:
    torch.manual_seed(0)
    x, weight, bias = torch.randn(7, 3, 2, 9).transpose(1, 2).to(dtype), torch.randn(7, 5, 9), torch.randn(7, 5)
    exact = torch.einsum("gtmi,goi->gtmo", x.double(), weight.to(dtype).double()) + bias.double()[:, None, None]
    exact = ACTIVATIONS[activation][0](exact)
    tolerance = 2e-6 if dtype == torch.float32 else 5e-3
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        assert apart(bands.band_linear(x, weight, bias, activation), exact) < tolerance
        assert not calls  # so small a product
        monkeypatch.setattr(bands, "LARGE", 0)
        assert apart(bands.band_linear(x, weight, bias, activation), exact) < tolerance
    assert len(calls) == (0 if dtype == torch.bfloat16 and activation == "none" else 7)


@able
@pytest.mark.parametrize("length", [1, 61, 200, 401])
@pytest.mark.parametrize("dtype", FORMATS)
def test_attention_is_torchs_and_with_low_precision_nearer_to_the_exact(dtype, length: int) -> None:
    """The scores stay in single precision: rounded to bf16, those of this size would be off by up to a sixteenth."""
    torch.manual_seed(0)
    queries, keys, values = torch.randn(3, 2, length, 2, 16).unbind()
    queries, values = 8 * queries, values.to(dtype)
    exact = F.scaled_dot_product_attention(
        *(part.double().transpose(1, 2) for part in (queries, keys, values)), scale=0.25
    ).transpose(1, 2)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        attended = dot_product_attention(queries, keys, values, 0.25)
    assert attended.dtype == dtype
    assert apart(attended, exact) < (2e-6 if dtype == torch.float32 else 4e-3)


@able
def test_gradients_autocast_and_compilation_have_torchs_own(calls: list, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = Linear(1024, 1024), torch.randn(64, 1024)
    expected = F.linear(x, layer.weight, layer.bias)
    layer(x).sum().backward()
    torch.testing.assert_close(layer.bias.grad, torch.full((1024,), 64.0))
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16):
            assert layer(x).dtype == torch.bfloat16
        with monkeypatch.context() as patched:
            patched.setattr(torch.compiler, "is_compiling", lambda: True)
            assert layer(x).equal(expected)
        assert Linear(1024, 1024, device="meta")(x.to("meta")).is_meta
        assert not calls
        torch.testing.assert_close(layer(x), expected)
    assert calls == [torch.float32]


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # of the very flag that turns oneDNN off
def test_without_onednn_everything_is_torchs_own(calls: list, without: None, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((products, "SMALLEST"), (bands, "LARGE"), (dot_product, "LONG")):
        monkeypatch.setattr(module, name, 0)
    assert not network_apart(lambda: None)
    assert not calls


@able
def test_a_network_gives_the_same_by_both(calls: list, monkeypatch: pytest.MonkeyPatch) -> None:
    def use() -> None:
        for module, name in ((products, "SMALLEST"), (bands, "LARGE"), (dot_product, "LONG")):
            monkeypatch.setattr(module, name, 0)

    monkeypatch.setattr(products, "SMALLEST", 1 << 60)
    for module, name in ((bands, "LARGE"), (dot_product, "LONG")):
        monkeypatch.setattr(module, name, 1 << 60)
    assert 0 < network_apart(use) < 2e-6
    assert len(calls) > 20


def network_apart(change: Callable[[], None]) -> float:
    """How far a small network's output is from what it was before a change."""
    torch.manual_seed(0)
    featurizer = {"n_fft": 256, "hop_samples": 64, "sample_rate_hz": 16000}
    model = {"architecture": "bs_roformer", "features": 16, "repeats": 2, "heads": 2, "head_width": 8}
    hparams = {"targets": ["vocals"], "bands_hz": [[4000, 500]], "featurizer": featurizer, "model": model}
    network, mixture = build_network(hparams).eval(), torch.randn(1, 2, 4000)
    with torch.inference_mode():
        before = network(mixture)
        change()
        return apart(network(mixture), before.double())
