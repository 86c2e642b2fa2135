"""An exported network gives in an ONNX runtime what torch gives, at any batch and length."""

import json
import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from demixer.audio import open_audio
from demixer.checkpoints.hparams import write_hparams
from demixer.checkpoints.weights import write_weights
from demixer.model.building import build_network
from demixer.separation.separator import Separator

onnxruntime = pytest.importorskip("onnxruntime", reason="needs requirements-export.txt")
pytest.importorskip("onnxscript", reason="needs requirements-export.txt")

from demixer.model.onnx_network import OnnxRNN  # noqa: E402
from demixer.separation.onnx_export import export, trace  # noqa: E402

HPARAMS = {
    "targets": ["vocals", "bass"],
    "bands_bins": [30, 995],
    "featurizer": {"n_fft": 2048, "hop_samples": 512, "sample_rate_hz": 44100},
    "model": {"features": 8, "repeats": 1, "tac": {}, "attention": {"width": 4}},
    "audio_params": {"window_seconds": 2.0},
}


@pytest.fixture(scope="module", params=[512, 1024], ids=lambda hop: f"hop {hop}")
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path]:
    """A network with every kind of layer, and the folder of its export, which takes seconds.

    With a hop of half a window, as the shipped network has it, the signal is padded to whole hops.
    """
    folder = tmp_path_factory.mktemp("onnx")
    torch.manual_seed(0)
    hparams = HPARAMS | {"featurizer": HPARAMS["featurizer"] | {"hop_samples": request.param}}
    write_hparams(folder / "model", hparams)
    write_weights(folder / "model" / "weights.safetensors", build_network(hparams).state_dict(), torch.float32)
    export(folder / "model", folder / "out" / "net.onnx")
    return Separator.from_pretrained(folder / "model", device="cpu").network, folder / "out"


def session(file: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def difference(runtime: onnxruntime.InferenceSession, network: nn.Module, mixture: Tensor) -> float:
    with torch.inference_mode():
        expected = network(mixture)
    (stems,) = runtime.run(["stems"], {"mixture": mixture.numpy()})
    assert stems.shape == tuple(expected.shape)
    assert expected.abs().max() > 1e-2
    return float((torch.from_numpy(stems) - expected).abs().max())


def test_the_runtime_gives_what_torch_gives_at_any_batch_and_length(exported: tuple[nn.Module, Path]) -> None:
    network, folder = exported
    runtime = session(folder / "net.onnx")
    assert runtime.get_inputs()[0].shape == ["batch", 2, "samples"]
    for batch, length in ((1, 1025), (1, 10_000), (3, 43_210)):
        assert difference(runtime, network, torch.randn(batch, 2, length)) < 1e-4


def test_it_is_one_file_that_says_what_it_estimates(exported: tuple[nn.Module, Path]) -> None:
    _, folder = exported
    assert [path.name for path in folder.iterdir()] == ["net.onnx"]
    about = session(folder / "net.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(about["targets"]) == ["vocals", "bass"]
    assert about["sample_rate_hz"] == "44100"
    assert json.loads(about["audio_params"])["window_seconds"] == 2.0


@pytest.mark.shared
def test_a_real_song_through_the_runtime(exported: tuple[nn.Module, Path], shared_dir: Path) -> None:
    network, folder = exported
    with open_audio(min(shared_dir.glob("data/musdb18-7s/*/*.stem.mp4"))) as reader:
        song = torch.cat(list(reader.blocks(44100)), dim=-1)
    assert difference(session(folder / "net.onnx"), network, song.unsqueeze(0)) < 1e-4


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_recurrent_layers_become_onnx_operators(tmp_path: Path, kind: type[nn.LSTM] | type[nn.GRU]) -> None:
    layer = kind(4, 6, bidirectional=True)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rnn = OnnxRNN(layer)

        def forward(self, x: Tensor) -> Tensor:
            return self.rnn(x)[0]

    x = torch.randn(9, 2, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(Network(), (x,), dynamo=True, verbose=False, dynamic_shapes=({1: "batch"},))
    program.save(tmp_path / "rnn.onnx")
    (hidden,) = session(tmp_path / "rnn.onnx").run(None, {"x": x[:, :1].numpy()})
    torch.testing.assert_close(torch.from_numpy(hidden), layer(x[:, :1])[0], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 2])
def test_a_network_of_one_length_is_exported_for_mono_and_for_stereo(tmp_path: Path, channels: int) -> None:
    torch.manual_seed(0)
    model = {"architecture": "fixed_window", "frames": 7, "frames_last": True, "features": 8, "repeats": 1}
    hparams = HPARAMS | {"model": model}
    write_hparams(tmp_path / "model", hparams)
    write_weights(tmp_path / "model" / "weights.safetensors", build_network(hparams).state_dict(), torch.float32)
    export(tmp_path / "model", tmp_path / "net.onnx", channels)
    network = Separator.from_pretrained(tmp_path / "model", device="cpu").network
    runtime = session(tmp_path / "net.onnx")
    assert runtime.get_inputs()[0].shape == ["batch", channels, 6 * 512]
    for batch in (1, 3):
        assert difference(runtime, network, torch.randn(batch, channels, 6 * 512)) < 1e-4


NEWER = {"positions": "pope", "value_residuals": "swapped", "streams": 2}


@pytest.mark.parametrize("more", [{}, NEWER], ids=["", "new"])
def test_a_roformer_is_exported_with_any_hop(tmp_path: Path, more: dict) -> None:
    """With every kind of layer, overlapping bands, and a hop that does not divide the window."""
    model = {"architecture": "mel_band_roformer", "mel_bands": 5, "features": 8, "repeats": 2, "linear_depth": 1}
    featurizer = {"n_fft": 32, "hop_samples": 7, "sample_rate_hz": 8000}
    model |= {"heads": 2, "head_width": 4, "skip": True, "zero_dc": True, **more}
    torch.manual_seed(0)
    network = build_network({"targets": ["vocals", "bass"], "featurizer": featurizer, "model": model})
    trace(network.eval().requires_grad_(False), 2).save(tmp_path / "net.onnx")
    runtime = session(tmp_path / "net.onnx")
    for batch, length in ((1, 5000), (3, 1234)):
        assert difference(runtime, network, torch.randn(batch, 2, length)) < 1e-5


def test_an_unknown_model_is_one_clear_line(tmp_path: Path, run_script) -> None:
    result = run_script("export_onnx", tmp_path / "nothing", tmp_path / "x.onnx")
    assert result.returncode == 2
    assert "no model at" in result.stderr
    assert "Traceback" not in result.stderr
