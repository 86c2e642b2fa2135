"""Devices and number formats by name."""

import pytest
import torch

from demixer import AudioParams, Separator
from demixer.model.building import build_network
from demixer.separation.devices import choose_device, choose_precision

CPU = torch.device("cpu")
HPARAMS = {
    "targets": ["vocals", "other"],
    "bands_hz": [[1000, 250], [4000, 1000]],
    "featurizer": {"n_fft": 512, "hop_samples": 128, "sample_rate_hz": 16000},
    "model": {"features": 16, "repeats": 3},
}


def test_auto_is_the_best_that_is_present() -> None:
    best = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert choose_device("auto").type == best


@pytest.mark.parametrize("name", ["cuda:99", "gpu", "tpu:0", "", "cpu:7", "meta"])
def test_a_device_that_is_not_there_is_named_with_those_that_are(name: str) -> None:
    with pytest.raises(ValueError, match=f"`device` .='{name}'. is not present here: choose one of auto, cpu"):
        choose_device(name)


def test_precisions_have_names() -> None:
    assert choose_precision("fp32", CPU) == torch.float32
    assert choose_precision("bf16", CPU) == torch.bfloat16
    assert choose_precision("fp16", CPU) == torch.float16
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    assert choose_precision("auto", CPU) == (torch.bfloat16 if native else torch.float32)
    with pytest.raises(ValueError, match=r"`precision` .='fp64'. must be auto, fp32, bf16 or fp16"):
        choose_precision("fp64", CPU)


@pytest.mark.parametrize(
    ("device", "capability", "expected"),
    [
        ("cuda", (9, 0), torch.bfloat16),
        ("cuda", (8, 0), torch.bfloat16),
        ("cuda", (7, 5), torch.float16),  # T4
        ("cuda", (7, 0), torch.float16),  # V100
        ("cuda", (6, 1), torch.float32),  # no units for fp16
        ("mps", None, torch.float16),
    ],
)
def test_auto_is_the_fast_format_of_the_gpu(device, capability, expected, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert choose_precision("auto", torch.device(device)) == expected


@pytest.mark.parametrize(("precision", "least_snr_db"), [(torch.bfloat16, 35), (torch.float16, 50)])
def test_stems_are_those_of_fp32_up_to_rounding(precision: torch.dtype, least_snr_db: float) -> None:
    torch.manual_seed(0)
    network = build_network(HPARAMS).eval()
    song = torch.randn(2, 30_000)
    stems = {}
    for dtype in (torch.float32, precision):
        separator = Separator(network, network.targets, 16000, AudioParams(1.0, 0.5), CPU, dtype)
        stems[dtype] = torch.stack(list(separator(song).values()))
    exact, rounded = stems.values()
    assert rounded.dtype == torch.float32
    error = (exact - rounded).square().sum()
    assert error > 0  # it did compute otherwise
    assert 10 * torch.log10(exact.square().sum() / error) > least_snr_db
