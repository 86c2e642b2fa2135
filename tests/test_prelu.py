"""The PReLU with a cheap gradient: torch's values and gradients, in every number format and wherever it runs."""

import pytest
import torch
from torch import Tensor, nn

from demixer.model.modules.prelu import PReLU


def trained(layer: nn.Module, x: Tensor, precision: str) -> tuple[Tensor, Tensor, Tensor]:
    x = x.clone().requires_grad_()
    layer.weight.grad = None
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        y = layer(x)
    y.backward(torch.linspace(-1, 2, y.numel()).view(y.shape).to(y.dtype))
    return y.detach(), x.grad, layer.weight.grad


def test_the_gradients_are_the_derivatives() -> None:
    layer = PReLU(init=0.3).double()
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, _: layer(x), (x, layer.weight))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("slope", [0.25, -0.4, 1.7, 0.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_is_torchs_in_every_format(precision, slope, dtype) -> None:
    if precision == "fp32" and dtype == torch.bfloat16:
        pytest.skip("mixed formats are for autocast")
    torch.manual_seed(0)
    x = torch.randn(7, 2, 33).to(dtype)
    x[0, 0, :3] = torch.tensor([0.0, -0.0, 1e-30])
    (y, of_x, of_slope), (own_y, own_x, own_slope) = (
        trained(layer, x, precision) for layer in (PReLU(init=slope), nn.PReLU(init=slope))
    )
    assert y.dtype == own_y.dtype
    assert y.equal(own_y)
    assert of_x.equal(own_x)
    torch.testing.assert_close(of_slope, own_slope, rtol=1e-5 if precision == "fp32" else 1e-2, atol=1e-4)


def test_no_number_stays_no_number() -> None:
    y, of_x, of_slope = trained(PReLU(), torch.tensor([float("nan"), 1.0]), "fp32")
    assert y.isnan().tolist() == [True, False]
    assert of_slope.isnan()
    assert of_x[1] == 2


def test_the_slow_gradient_is_not_taken_and_no_more_is_kept() -> None:
    kept: list[int] = []
    x = torch.randn(100, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        y = PReLU()(x)
    assert sorted(kept) == [1, 100]
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], acc_events=True) as profile:
        y.sum().backward()
    assert not {event.key for event in profile.key_averages()} & {"aten::_prelu_kernel_backward"}


def test_without_a_gradient_it_is_torchs_own(monkeypatch) -> None:
    monkeypatch.setattr("demixer.model.modules.prelu._OneSlope", None)
    with torch.no_grad():
        assert PReLU()(torch.tensor([-4.0])).item() == -1
