"""The benchmarks' count of operations against PyTorch's own."""

import importlib
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from demixer.model.building import build_network
from demixer.paths import PROJECT_DIR

HPARAMS = {
    "targets": ["vocals", "drums"],
    "bands_hz": [[4000, 500]],
    "featurizer": {"n_fft": 256, "hop_samples": 64, "sample_rate_hz": 16000},
}


@pytest.fixture
def flops(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(PROJECT_DIR / "benchmarks"))
    return importlib.import_module("flops")


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # of the very flag that turns oneDNN off
@pytest.mark.parametrize("tac", [None, {"factor": 1}, {"factor": 3}])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_matrix_product_is_counted(flops: ModuleType, tac: dict[str, int] | None, channels: int) -> None:
    network = build_network({**HPARAMS, "model": {"features": 8, "repeats": 1, "tac": tac}}).eval()
    mixture = torch.randn(1, channels, 16000)
    assert_counted(flops, network, mixture)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_every_matrix_product_of_a_live_network_is_counted(flops: ModuleType) -> None:
    model = {"architecture": "bandsplitrnn_live", "features": 24, "repeats": 2, "tac": {}, "norm": "frame"}
    featurizer = {**HPARAMS["featurizer"], "synthesis_samples": 128}
    network = build_network({**HPARAMS, "featurizer": featurizer, "model": model}).eval()
    assert_counted(flops, network, torch.randn(1, 2, 16000))


def assert_counted(flops: ModuleType, network: nn.Module, mixture: Tensor) -> None:
    ours = flops.count_flops(network, lambda: network(mixture))
    with torch.backends.mkldnn.flags(enabled=False), FlopCounterMode(display=False) as counter, torch.no_grad():
        network(mixture)  # without oneDNN a recurrent layer is made of products that the counter sees
    assert ours == pytest.approx(counter.get_total_flops(), rel=5e-3)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize(
    "kind", [{"architecture": "bs_roformer"}, {"architecture": "mel_band_roformer", "mel_bands": 9}]
)
@pytest.mark.parametrize("linear_depth", [0, 2])
def test_every_product_of_a_transformer_is_counted(flops: ModuleType, kind: dict, linear_depth: int) -> None:
    sizes = {"features": 16, "repeats": 2, "heads": 2, "head_width": 8, "linear_depth": linear_depth}
    network = build_network({**HPARAMS, "model": sizes | kind}).eval()
    mixture = torch.randn(1, 2, 16000)
    ours = flops.count_flops(network, lambda: network(mixture))
    torchs_own = sdpa_kernel(SDPBackend.MATH), torch.backends.mkldnn.flags(enabled=False)
    with torchs_own[0], torchs_own[1], FlopCounterMode(display=False) as counter, torch.no_grad():
        network(mixture)
    assert ours == pytest.approx(counter.get_total_flops(), rel=5e-3)
