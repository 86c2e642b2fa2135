"""Muon against PyTorch's own for one matrix and its AdamW for the rest; gates and bands as matrices of their own."""

import copy

import pytest
import torch
from torch import nn

from demixer.model.building import build_network
from demixer.training.muon import Muon, orthogonalise

HPARAMS = {
    "targets": ["vocals", "drums"],
    "bands_hz": [[4000, 1000]],
    "featurizer": {"n_fft": 256, "hop_samples": 64, "sample_rate_hz": 16000},
    "model": {"features": 8, "repeats": 1, "tac": {"factor": 1}, "attention": {"width": 2}},
}


def gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_a_matrix_moves_as_with_pytorchs_muon_and_an_offset_as_with_adamw() -> None:
    ours = nn.Linear(24, 40)
    theirs = copy.deepcopy(ours)
    optimizer = Muon(ours.named_parameters(), lr=1e-2, weight_decay=0.1)
    muon = torch.optim.Muon([theirs.weight], lr=1e-2, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW([theirs.bias], lr=1e-2, weight_decay=0)
    begin = theirs.weight.detach().clone()
    for step in range(5):
        gradients(ours, step)
        gradients(theirs, step)
        for each in (optimizer, muon, adamw):
            each.step()
    moved = (theirs.weight - begin).norm()
    assert (ours.weight - theirs.weight).norm() < 0.04 * moved  # both iterate in bfloat16 where that is native
    torch.testing.assert_close(ours.bias, theirs.bias)


@pytest.mark.parametrize("shape", [(3, 20, 8), (3, 8, 20), (1, 16, 16)])
def test_singular_values_become_one(shape: tuple[int, ...]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalise(matrices))
    assert (values - 1).abs().max() < 0.4


def test_gates_and_bands_are_matrices_of_their_own() -> None:
    network = build_network(HPARAMS)
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = Muon(network.named_parameters(), lr=1e-2, weight_decay=0)
    gradients(network, 0)
    optimizer.step()
    moved = {name: (parameter - before[name]).detach() for name, parameter in network.named_parameters()}
    (gates,) = [step for name, step in moved.items() if name.endswith("0.time.rnn.weight_ih_l0")]
    (bands,) = [step for name, step in moved.items() if name.endswith("estimators.0.first.linear.weight")]
    for step in (gates.unflatten(0, (4, -1)), bands):  # each of them: 0.01 · 0.2 · √(longer side) · (about 1)
        values = torch.linalg.svdvals(step) / (1e-2 * 0.2 * max(step.shape[-2:]) ** 0.5)
        assert (values - 1).abs().max() < 0.4


def test_matrices_of_one_shape_step_together_as_they_step_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build_network({**HPARAMS, "model": {"features": 8, "repeats": 3, "tac": {"factor": 1}}})
    alone, shapes = copy.deepcopy(network), []
    monkeypatch.setattr("demixer.training.muon.orthogonalise", lambda x: shapes.append(x.shape) or orthogonalise(x))
    products = []
    for model, most_entries in ((network, 2**20), (alone, 1)):
        monkeypatch.setattr("demixer.training.muon.MOST_ENTRIES", most_entries)
        optimizer = Muon(model.named_parameters(), lr=1e-2)
        for step in range(3):
            gradients(model, step)
            optimizer.step()
        products.append(len(shapes) // 3)
    together, both = products
    assert together == len({shape[1:] for shape in shapes}) == 6
    assert both - together == len(optimizer.param_groups[0]["params"]) > 30
    for one, other in zip(network.parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


def test_a_parameter_without_a_gradient_stays_with_all_that_is_known_of_it() -> None:
    model = nn.LSTM(6, 5)
    optimizer = Muon(model.named_parameters())
    gradients(model, 0)
    optimizer.step()
    weights, state = copy.deepcopy(list(model.parameters())), copy.deepcopy(optimizer.state_dict()["state"])
    optimizer.zero_grad()
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(weights, model.parameters(), strict=True))
    for index, kept in state.items():
        now = optimizer.state_dict()["state"][index]
        assert all(torch.equal(torch.as_tensor(kept[key]), torch.as_tensor(now[key])) for key in kept)


def test_first_and_last_layer_are_adamws() -> None:
    network = build_network(HPARAMS)
    optimizer = Muon(network.named_parameters())
    of_muon, of_adamw = (set(group["param_names"]) for group in optimizer.param_groups)
    assert of_muon | of_adamw == {name for name, _ in network.named_parameters()}
    for part in ("bandsplitrnn.split", "outputs", "norm", "bias", "slope"):
        assert any(part in name for name in of_adamw)
        assert not any(part in name for name in of_muon)


def test_a_saved_state_goes_on_bit_for_bit() -> None:
    one = nn.LSTM(6, 5)
    optimizer = Muon(one.named_parameters())
    gradients(one, 0)
    optimizer.step()
    two = copy.deepcopy(one)
    resumed = Muon(two.named_parameters())
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for model, each in ((one, optimizer), (two, resumed)):
        gradients(model, 1)
        each.step()
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_queries_keys_and_values_are_matrices_of_their_own() -> None:
    model = {"architecture": "bs_roformer", "features": 16, "repeats": 1, "heads": 2, "head_width": 4}
    network = build_network({**HPARAMS, "model": {**model, "linear_depth": 1}})
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    optimizer = Muon(network.named_parameters(), lr=1e-2, weight_decay=0)
    gradients(network, 0)
    optimizer.step()
    steps = [(p - before[name]).detach() for name, p in network.named_parameters() if ".qkv." in name]
    assert len(steps) == 3  # along time, across bands, and linear
    for step in steps:
        values = torch.linalg.svdvals(step.unflatten(0, (3, -1))) / (1e-2 * 0.2 * 16**0.5)
        assert (values - 1).abs().max() < 0.4
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    orthogonal = {names[id(parameter)] for parameter in optimizer.param_groups[0]["params"]}
    layers = {name.split(".layers.")[1] for name in orthogonal if ".time.layers." in name}
    assert layers == {"0.qkv.weight", "0.gate.weight", "0.out.weight", "1.first.weight", "1.second.weight"}
