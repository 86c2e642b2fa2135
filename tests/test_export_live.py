"""A live network in an ONNX runtime: hop by hop, with its state handed on, what torch gives of the whole song."""

import json
from pathlib import Path

import pytest
import torch
from test_live import RATE_HZ, music, network, saved
from torch import Tensor

from demixer.errors import UserError
from demixer.model.live.network import LiveNetwork
from demixer.separation.separator import Separator

onnxruntime = pytest.importorskip("onnxruntime", reason="needs requirements-export.txt")
pytest.importorskip("onnxscript", reason="needs requirements-export.txt")

from demixer.separation.onnx_export import export, trace_live  # noqa: E402


def session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def played(runtime: onnxruntime.InferenceSession, signal: Tensor) -> Tensor:
    """Nothing is known but the file: its inputs' shapes, and which output belongs to which input."""
    (mixture, *states), names = runtime.get_inputs(), [one.name for one in runtime.get_outputs()]
    state = {one.name: torch.zeros(one.shape).numpy() for one in states}
    stems = []
    for hop in signal.split(mixture.shape[2], dim=1):
        out = dict(zip(names, runtime.run(None, {"mixture": hop.unsqueeze(0).numpy()} | state), strict=True))
        stems.append(torch.from_numpy(out["stems"][0]))
        state = {name: out[f"next.{name}"] for name in state}
    return torch.cat(stems, dim=-1)


def difference(runtime: onnxruntime.InferenceSession, made: LiveNetwork, signal: Tensor) -> float:
    latency, hop = made.latency_in_blocks(made.hop_samples), made.hop_samples
    length = signal.shape[1] // hop * hop
    stems = played(runtime, torch.cat([signal[:, :length], torch.zeros(len(signal), latency)], dim=1))
    with torch.no_grad():
        expected = made(signal[None, :, :length])[0]
    assert expected.std() > 0.05 * signal.std()
    return float((stems[..., latency:] - expected).abs().max())


@pytest.mark.slow
def test_over_a_minute_at_full_size_the_runtime_stays_with_torch(tmp_path: Path) -> None:
    made = network({"n_fft": 2048, "hop_samples": 512, "synthesis_samples": 1024}, features=64, repeats=4, tac={})
    trace_live(made.requires_grad_(False), channels=2).save(tmp_path / "live.onnx", external_data=False)
    assert difference(session(tmp_path / "live.onnx"), made, music(60 * 44_100 / RATE_HZ)) < 1e-5


def test_it_is_one_file_that_gives_what_torch_gives_and_says_how_it_is_used(tmp_path: Path) -> None:
    made = network(tac={}, look_ahead=2)
    export(saved(tmp_path / "model", made, tac={}, look_ahead=2), tmp_path / "out" / "live.onnx", live=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["live.onnx"]
    runtime = session(tmp_path / "out" / "live.onnx")
    assert difference(runtime, made, music(4)) < 1e-5
    about = runtime.get_modelmeta().custom_metadata_map
    assert json.loads(about["targets"]) == ["vocals", "bass"]
    assert (about["sample_rate_hz"], about["hop_samples"], about["latency_samples"]) == ("8000", "64", "192")


def test_networks_of_one_target_each_are_one_file(tmp_path: Path) -> None:
    settings = {"rnn": "gru", "norm": "frame"}
    for target in ("bass", "vocals"):
        saved(tmp_path / "model" / target, network(**settings).only([target]), **settings)
    export(tmp_path / "model", tmp_path / "live.onnx", channels=1, live=True)
    bank = Separator.from_pretrained(tmp_path / "model", "cpu").network
    assert difference(session(tmp_path / "live.onnx"), bank, music(4, channels=1)) < 1e-5


@pytest.mark.parametrize(
    ("changes", "live", "message"),
    [
        ({}, False, "is a live model: export it with --live"),
        ({"architecture": "bandsplitrnn"}, True, "BandSplitRNN. is not causal"),
        ({"architecture": "bandsplitrnn"}, False, "with `featurizer.synthesis_samples` cannot be exported"),
    ],
)
def test_what_cannot_be_exported_is_refused(tmp_path: Path, changes: dict, live: bool, message: str) -> None:
    folder = saved(tmp_path / "model", network(**changes), **changes)
    with pytest.raises(UserError, match=message):
        export(folder, tmp_path / "net.onnx", live=live)
