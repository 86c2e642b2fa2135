"""A model as one file for ONNX runtimes: its network, and how songs are best cut."""

import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path

import torch

from demixer.errors import UserError
from demixer.model.onnx_network import OnnxNetwork
from demixer.model.pretrained import NetworkBank, load_pretrained
from demixer.model.separation_network import SeparationNetwork
from demixer.separation.audio_params import AudioParams
from demixer.temporary import atomic_path

EXAMPLE_SAMPLES = 25_000
OPSET = 18  # the exporter's own; demixer.model.onnx_network writes its operators in it


def export(model: Path, output: Path, channels: int = 2) -> None:
    """Write the model's network as one ONNX file.

    Raises:
        UserError: the model cannot be loaded or exported, or the packages for it are missing.
    """
    network, params = load_pretrained(Path(model))
    program = trace(network.eval().requires_grad_(False), channels)
    program.model.metadata_props.update(
        targets=json.dumps(network.targets),
        sample_rate_hz=str(network.sample_rate_hz),
        audio_params=json.dumps(asdict(AudioParams.from_mapping(params))),
    )
    with atomic_path(output) as temporary:
        program.save(temporary, external_data=False)


def trace(network: SeparationNetwork | NetworkBank, channels: int) -> torch.onnx.ONNXProgram:
    """The network as an ONNX program for any batch, and any length where the network takes any."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports every package that it can do without
    mixture = torch.zeros(2, channels, network.window_samples or EXAMPLE_SAMPLES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the exporter
            return torch.onnx.export(
                OnnxNetwork(network).eval(),
                (mixture,),
                dynamo=True,
                verbose=False,
                optimize=False,  # runtimes do it when they load the file, in a hundredth of the time
                opset_version=OPSET,
                input_names=["mixture"],
                output_names=["stems"],
                dynamic_shapes={"mixture": {0: "batch"} if network.window_samples else {0: "batch", 2: "samples"}},
            )
    except ModuleNotFoundError as error:
        raise UserError(f"the export needs {error.name}: pip install 'music-demixer[export]'") from error
