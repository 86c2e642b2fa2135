"""This project's own files: bare ``.safetensors`` weights, or a Lightning checkpoint of a training run."""

from collections.abc import Mapping
from typing import Any

from demixer.checkpoints.locating import HPARAMS_NAME
from demixer.errors import UserError
from demixer.model.layouts.saved import Checkpoint, SavedNetwork

NAME = "this project's runs and saved models"
NETWORK_PREFIX = "network."  # of the Lightning module that holds it
_MARK = "bandsplitrnn.split."
_SWITCHES = {"norm_groups": "features", "joint_channels": 2, "standardised": True}  # of converted checkpoints, once


def matches(checkpoint: Checkpoint) -> bool:
    return any(key.removeprefix(NETWORK_PREFIX).startswith(_MARK) for key in checkpoint.state_dict)


def read(checkpoint: Checkpoint) -> SavedNetwork:
    if not checkpoint.hparams:
        raise UserError(f"`{checkpoint.file}` needs the {HPARAMS_NAME} of its run beside it")
    state = checkpoint.state_dict
    prefix = NETWORK_PREFIX if any(key.startswith(NETWORK_PREFIX) for key in state) else ""
    weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return SavedNetwork(_upgraded(checkpoint.hparams), weights)


def _upgraded(hparams: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in their present form: ``fixed_window`` once was switches of the paper's network."""
    model = hparams.get("model")
    mask = model.get("mask") if isinstance(model, Mapping) else None
    if not isinstance(mask, Mapping) or not _SWITCHES.items() <= model.items():
        return dict(hparams)
    renamed = {"frames": model.get("fixed_frames"), "frames_last": mask.get("frames_last", False)}
    kept = {name: value for name, value in model.items() if name not in (*_SWITCHES, "fixed_frames")}
    kept["mask"] = {name: value for name, value in mask.items() if name != "frames_last"}
    return {**hparams, "model": {"architecture": "fixed_window", **renamed, **kept}}
