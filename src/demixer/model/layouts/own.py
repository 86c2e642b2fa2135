"""This project's own files: bare ``.safetensors`` weights, or a Lightning checkpoint of a training run."""

from demixer.checkpoints.locating import HPARAMS_NAME
from demixer.errors import UserError
from demixer.model.layouts.saved import Checkpoint, SavedNetwork

NAME = "this project's runs and saved models"
NETWORK_PREFIX = "network."  # of the Lightning module that holds it
_MARK = "bandsplitrnn.split."


def matches(checkpoint: Checkpoint) -> bool:
    return any(key.removeprefix(NETWORK_PREFIX).startswith(_MARK) for key in checkpoint.state_dict)


def read(checkpoint: Checkpoint) -> SavedNetwork:
    if not checkpoint.hparams:
        raise UserError(f"`{checkpoint.file}` needs the {HPARAMS_NAME} of its run beside it")
    state = checkpoint.state_dict
    prefix = NETWORK_PREFIX if any(key.startswith(NETWORK_PREFIX) for key in state) else ""
    weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    return SavedNetwork(dict(checkpoint.hparams), weights)
