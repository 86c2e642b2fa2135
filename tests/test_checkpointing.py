"""Activations computed again instead of kept: the same gradients, in less memory."""

import copy

import pytest
import torch
from tiny_runs import tiny_run

from demixer.checkpoints.hparams import read_hparams
from demixer.model.building import build_network
from demixer.training.losses import L1Loss

HPARAMS = {
    "targets": ["vocals", "drums"],
    "bands_hz": [[1000, 250], [4000, 1000], [5000, 250]],
    "featurizer": {"n_fft": 512, "hop_samples": 128, "sample_rate_hz": 16000},
    "model": {"features": 8, "repeats": 4, "dropout": 0.2, "tac": {"factor": 1}, "attention": {"width": 2}},
}


def gradients(network: torch.nn.Module, precision: str) -> tuple[list[torch.Tensor], int]:
    """The gradients, and how many bytes were kept for them."""
    torch.manual_seed(0)
    targets, kept = torch.randn(2, 2, 2, 8000), {}
    torch.manual_seed(1)  # dropout draws from it

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    watched = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with watched, torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        loss = sum(L1Loss()(network, targets.sum(1), targets).values())
    loss.backward()
    return [parameter.grad for parameter in network.parameters()], sum(kept.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_gradients_are_the_same_and_less_is_kept(precision: str) -> None:
    network = build_network(HPARAMS)
    again = copy.deepcopy(network)
    again.bandsplitrnn.checkpointing = True
    (expected, all_bytes), (got, few_bytes) = gradients(network, precision), gradients(again, precision)
    assert all(torch.equal(one, other) for one, other in zip(expected, got, strict=True))
    assert few_bytes < 0.5 * all_bytes


def test_it_is_a_setting_of_the_run_and_not_of_the_model(comb_musdb, tmp_path, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr("demixer.model.band_split_network.checkpoint", lambda f, *args, **_: seen.append(1) or f(*args))
    short = [f"data.roots=[{comb_musdb}]", "data.samples_per_epoch=4", "data.batch_size=2", "trainer.max_epochs=1"]
    tiny_run(tmp_path, *short, "model.checkpointing=true", "model.repeats=3")
    assert len(seen) == 2 * 3  # steps × modules: none in the validation
    assert not {"compile", "checkpointing"} & set(read_hparams(tmp_path)["model"])
    tiny_run(tmp_path / "tuned", *short, "model.checkpointing=true", f"init={tmp_path}")
    assert len(seen) == 4 * 3
