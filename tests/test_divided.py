"""A training step in parts of its batch: the whole batch's estimates and gradients, on all cores at once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier, current_thread

import pytest
import torch
from tiny_runs import tiny_run
from torch import Tensor

from demixer.cores import shares
from demixer.model.building import build_network
from demixer.model.separation_network import SeparationNetwork
from demixer.training.divided import DividedNetwork, divided
from demixer.training.losses import L1Loss, RelativeRMSLoss

HPARAMS = {
    "targets": ["vocals", "drums"],
    "bands_hz": [[1000, 250], [4000, 1000], [5000, 250]],
    "featurizer": {"n_fft": 512, "hop_samples": 128, "sample_rate_hz": 16000},
    "model": {"features": 8, "repeats": 2, "tac": {"factor": 1}},
}


@pytest.fixture(autouse=True)
def two_cores() -> Iterator[None]:
    with cores(2):
        yield


@contextmanager
def cores(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def network() -> SeparationNetwork:
    torch.manual_seed(0)
    return build_network(HPARAMS)


def songs(items: int) -> Tensor:
    torch.manual_seed(1)
    return torch.randn(items, 2, 2, 4000)


def losses_and_gradients(
    network: SeparationNetwork | DividedNetwork, loss: L1Loss | RelativeRMSLoss, targets: Tensor, precision: str
) -> tuple[Tensor, list[Tensor | None]]:
    parameters = list((network.network if isinstance(network, DividedNetwork) else network).parameters())
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        total = sum(loss(network, targets.sum(1), targets).values())
    for parameter in parameters:
        parameter.grad = None
    total.backward()
    return total.detach(), [parameter.grad for parameter in parameters]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("loss", [L1Loss(equal_loudness=True), RelativeRMSLoss()], ids=["spectra", "waveforms"])
@pytest.mark.parametrize("items", [2, 3])
def test_losses_and_gradients_are_those_of_the_whole_batch(network, items, loss, precision) -> None:
    targets = songs(items)
    with cores(1):
        expected, expected_gradients = losses_and_gradients(network, loss, targets, precision)
    got, gradients = losses_and_gradients(DividedNetwork(network), loss, targets, precision)
    tolerance = 1e-5 if precision == "fp32" else 2e-2
    torch.testing.assert_close(got, expected, rtol=tolerance, atol=0)
    for one, other in zip(gradients, expected_gradients, strict=True):
        assert (one - other).norm() <= tolerance * other.norm()


def test_the_parts_are_under_way_at_once_forwards_and_backwards(network) -> None:
    together, seen = Barrier(2, timeout=20), []

    def wait(*_: object) -> None:
        together.wait()
        seen.append((current_thread().name, torch.get_num_threads()))

    network.bandsplitrnn.split.register_forward_hook(wait)
    network.bandsplitrnn.mask.register_full_backward_hook(wait)
    losses_and_gradients(DividedNetwork(network), RelativeRMSLoss(), songs(2), "fp32")
    assert len({name for name, _ in seen}) == 2
    assert [threads for _, threads in seen] == [1] * 4


def test_the_spectra_lie_in_memory_as_the_networks(network) -> None:
    mixture = songs(3).sum(1)
    spectra = DividedNetwork(network).estimate_spectra(mixture)
    with cores(1):
        torch.testing.assert_close(spectra, network.estimate_spectra(mixture))
    assert spectra.stride()[-2:] == (1, network.spectrogram.bins)


def test_frozen_and_unused_parameters_get_no_gradient(network) -> None:
    network.bandsplitrnn.split.requires_grad_(False)
    network.unused = torch.nn.Parameter(torch.ones(2))
    _, gradients = losses_and_gradients(DividedNetwork(network), RelativeRMSLoss(), songs(2), "fp32")
    named = dict(zip([name for name, _ in network.named_parameters()], gradients, strict=True))
    assert {name for name, gradient in named.items() if gradient is None} == {
        "unused",
        *(f"bandsplitrnn.split.{name}" for name, _ in network.bandsplitrnn.split.named_parameters()),
    }


def test_gradients_add_up_over_two_batches(network) -> None:
    added = []
    for count, wrapped in ((1, network), (2, DividedNetwork(network))):
        network.zero_grad()
        with cores(count):
            for items in (2, 3):
                targets = songs(items)
                sum(RelativeRMSLoss()(wrapped, targets.sum(1), targets).values()).backward()
        added.append([parameter.grad.clone() for parameter in network.parameters()])
    for one, other in zip(*added, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("change", ["nothing", "dropout", "checkpointing", "compile", "one item", "one core"])
def test_what_draws_random_numbers_is_compiled_or_alone_stays_whole(network, change, monkeypatch) -> None:
    mixture = songs(1 if change == "one item" else 2).sum(1)
    if change == "dropout":
        network = build_network({**HPARAMS, "model": {**HPARAMS["model"], "dropout": 0.1}})
    elif change == "checkpointing":
        network.bandsplitrnn.checkpointing = True
    elif change == "compile":
        monkeypatch.setattr(torch.nn.Module, "compile", lambda *_, **__: None)
        network.bandsplitrnn.compile()
    with cores(1 if change == "one core" else 2):
        assert isinstance(divided(network, mixture), DividedNetwork) == (change == "nothing")


def test_an_error_in_a_part_is_the_steps(network) -> None:
    targets = songs(2)

    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CPU out of memory")

    network.bandsplitrnn.mask.register_full_backward_hook(fail)
    with pytest.raises(torch.OutOfMemoryError):
        losses_and_gradients(DividedNetwork(network), RelativeRMSLoss(), targets, "fp32")


def test_a_run_trains_in_parts_to_the_same_weights(comb_musdb, tmp_path, monkeypatch) -> None:
    short = [f"data.roots=[{comb_musdb}]", "data.samples_per_epoch=4", "data.batch_size=2", "trainer.max_epochs=1"]
    torch.set_num_threads(1)
    pool = ThreadPoolExecutor(2)
    monkeypatch.setattr("demixer.training.divided.side_by_side", lambda *work: list(pool.map(*work)))
    calls, compute = [], DividedNetwork.estimate_spectra
    monkeypatch.setattr(
        DividedNetwork, "estimate_spectra", lambda self, mixture: calls.append(1) or compute(self, mixture)
    )
    weights = []
    for count in (2, 1):  # the rest of the run is on one core, or the test would take all of them
        monkeypatch.setattr("demixer.training.divided.sizes_of_parts", lambda items, count=count: shares(items, count))
        tiny_run(tmp_path / str(count), *short)
        last = torch.load(tmp_path / str(count) / "weights" / "last.ckpt", weights_only=True)
        weights.append(last["current_model_state"])
    assert len(calls) == 2  # steps of the divided run
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-3, atol=1e-4)
