"""Export a model for ONNX runtimes, waveform to waveform: ``python export_onnx.py RUN_DIR OUT.onnx``.

The network maps ``mixture`` (batch, channels, samples) to ``stems`` (batch, targets, channels, samples) at its own
sample rate, for any batch and length from half a transform on (older public checkpoints: at their one length). What
the stems are and how songs are best cut stands in the file's metadata. Needs requirements-export.txt.
"""

import argparse
import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path

import torch

from model.onnx_network import OnnxNetwork
from model.pretrained import NetworkBank
from model.separation_network import SeparationNetwork
from separator import Separator
from utils.errors import UserError, run
from utils.paths import atomic_path

EXAMPLE_SAMPLES = 25_000
OPSET = 18  # the exporter's own; model.onnx_network writes its operators in it


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="RUN_DIR", help="a run's folder, a checkpoint, or a model's name")
    parser.add_argument("output", type=Path, metavar="OUT.onnx")
    parser.add_argument("--channels", type=int, choices=(1, 2), default=2, help="of the mixture (default: 2)")
    return parser.parse_args(arguments)


def export(model: Path, output: Path, channels: int = 2) -> None:
    """Write the model's network as one ONNX file.

    Raises:
        UserError: the model cannot be loaded or exported, or the packages for it are missing.
    """
    separator = Separator.from_pretrained(model, device="cpu")
    program = trace(separator.network, channels)
    program.model.metadata_props.update(
        targets=json.dumps(separator.targets),
        sample_rate_hz=str(separator.sample_rate_hz),
        audio_params=json.dumps(asdict(separator.audio_params)),
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
        raise UserError(f"the export needs {error.name}: pip install -r requirements-export.txt") from error


def main() -> None:
    arguments = parse()
    export(arguments.model, arguments.output, arguments.channels)


if __name__ == "__main__":
    run(main)
