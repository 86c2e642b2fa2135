"""A model as one file for ONNX runtimes: its network, and how songs are best cut."""

import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from demixer.errors import UserError
from demixer.model.live.network import LiveNetwork
from demixer.model.live.onnx_network import OnnxLiveNetwork
from demixer.model.onnx_network import OnnxNetwork
from demixer.model.pretrained import NetworkBank, load_pretrained
from demixer.model.separation_network import SeparationNetwork
from demixer.separation.audio_params import AudioParams
from demixer.separation.separator import Separator
from demixer.temporary import atomic_path

EXAMPLE_SAMPLES = 25_000
OPSET = 18  # the exporter's own; demixer.model.onnx_network writes its operators in it


def export(model: Path, output: Path, channels: int = 2, live: bool = False) -> None:
    """Write the model's network as one ONNX file: from waveform to stems, or live, from hop to hop.

    Raises:
        UserError: the model cannot be loaded or exported, or the packages for it are missing; or it is not live, or
            only that.
    """
    network, params = load_pretrained(Path(model))
    network.eval().requires_grad_(False)
    separator = Separator(network, network.targets, network.sample_rate_hz)
    if live:
        hop = separator.live(channels).hop_samples
        program = trace_live(network, channels)
        about = {"hop_samples": str(hop), "latency_samples": str(network.latency_in_blocks(hop))}
    else:
        if network.latency_samples is not None:
            raise UserError(f"`{model}` is a live model: export it with --live, from hop to hop")
        program = trace(network, channels)
        about = {"audio_params": json.dumps(asdict(AudioParams.from_mapping(params)))}
    about |= {"targets": json.dumps(network.targets), "sample_rate_hz": str(network.sample_rate_hz)}
    program.model.metadata_props.update(about)
    with atomic_path(output) as temporary:
        program.save(temporary, external_data=False)


def trace(network: SeparationNetwork | NetworkBank, channels: int) -> torch.onnx.ONNXProgram:
    """The network as an ONNX program for any batch, and any length where the network takes any."""
    mixture = torch.zeros(2, channels, network.window_samples or EXAMPLE_SAMPLES)
    shapes = {"mixture": {0: "batch"} if network.window_samples else {0: "batch", 2: "samples"}}
    return _program(OnnxNetwork(network), (mixture,), ["mixture"], ["stems"], shapes)


def trace_live(network: LiveNetwork | NetworkBank, channels: int) -> torch.onnx.ONNXProgram:
    """A live network's step as an ONNX program.

    Its inputs are ``mixture`` (1, C, hop) and the state by its names, all zero before a signal; its outputs ``stems``
    (1, S, C, hop) and the next state, each tensor's name behind ``next.``.
    """
    state = network.initial_state(1, channels)
    names, mixture = list(state), torch.zeros(1, channels, network.hop_samples)
    after = [f"next.{name}" for name in names]
    step = OnnxLiveNetwork(network, names)
    return _program(step, (mixture, *state.values()), ["mixture", *names], ["stems", *after])


def _program(
    module: nn.Module,
    example: tuple[Tensor, ...],
    input_names: list[str],
    output_names: list[str],
    dynamic_shapes: dict[str, dict[int, str]] | None = None,
) -> torch.onnx.ONNXProgram:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports every package that it can do without
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside the exporter
            return torch.onnx.export(
                module.eval(),
                example,
                dynamo=True,
                verbose=False,
                optimize=False,  # runtimes do it when they load the file, in a hundredth of the time
                opset_version=OPSET,
                input_names=input_names,
                output_names=output_names,
                dynamic_shapes=dynamic_shapes,
            )
    except ModuleNotFoundError as error:
        raise UserError(f"the export needs {error.name}: pip install 'music-demixer[export]'") from error
