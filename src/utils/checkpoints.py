"""A saved model *is* a run: one folder layout, read by one code, and nothing that is read can execute.

``{folder}/hparams.yaml`` describes the network; its weights are ``weights.safetensors`` (a saved model) or Lightning's
files in ``weights/`` (a training run), of which the best by validation uSDR is taken, named ``…-usdr={value}.ckpt``.
"""

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from utils.errors import UserError, one_line
from utils.paths import SAVED_MODELS_DIR, atomic_path

HPARAMS_NAME = "hparams.yaml"
WEIGHTS_NAME = "weights.safetensors"
RUN_WEIGHTS_DIR = "weights"
LAST_NAME = "last.ckpt"
NETWORK_PREFIX = "network."
_USDR = re.compile(r"usdr=(-?\d+(?:\.\d+)?)")


def locate_model(path: Path) -> tuple[Path, Path]:
    """The folder with ``hparams.yaml`` and the weights file that a path means.

    Args:
        path: a saved model's or a run's folder, a weights file in one, or the name of a shipped model.

    Raises:
        UserError: there is no model.
    """
    named = SAVED_MODELS_DIR / path
    if not path.exists() and named.is_dir():
        path = named
    if not path.exists():
        raise UserError(f"no model at `{path}`: give a run's folder, a checkpoint in it, or one of {shipped_models()}")
    if path.is_file():
        folder = path.parent.parent if path.parent.name == RUN_WEIGHTS_DIR else path.parent
        return folder, path
    saved = path / WEIGHTS_NAME
    return path, saved if saved.is_file() else best_checkpoint(path)


def shipped_models() -> list[str]:
    """Names of the models in ``saved_models/``."""
    return sorted(file.parent.name for file in SAVED_MODELS_DIR.glob(f"*/{HPARAMS_NAME}"))


def best_checkpoint(run_dir: Path) -> Path:
    """The checkpoint of a run with the highest validation uSDR in its name, or else the last one.

    Raises:
        UserError: the run has none.
    """
    files = sorted((run_dir / RUN_WEIGHTS_DIR).glob("*.ckpt"))
    scored = [(float(match[1]), file) for file in files if (match := _USDR.search(file.stem))]
    if scored:
        return max(scored)[1]
    if not files:
        raise UserError(f"`{run_dir}` holds no weights: neither {WEIGHTS_NAME} nor {RUN_WEIGHTS_DIR}/*.ckpt")
    return next((file for file in files if file.name == LAST_NAME), files[-1])


def read_hparams(folder: Path) -> dict[str, Any]:
    """Read ``hparams.yaml`` as plain data: no tag, interpolation or ``_target_`` in it has any effect.

    Raises:
        UserError: it is missing or no mapping.
    """
    file = folder / HPARAMS_NAME
    try:
        hparams = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot read the model's settings `{file}`: {one_line(error)}") from error
    if not isinstance(hparams, dict):
        raise UserError(f"`{file}` must hold the model's settings as a mapping")
    return hparams


def write_hparams(folder: Path, hparams: Mapping[str, Any]) -> None:
    """Write ``hparams.yaml``."""
    with atomic_path(folder / HPARAMS_NAME) as temporary:
        temporary.write_text(yaml.safe_dump(dict(hparams), sort_keys=False, allow_unicode=True), encoding="utf-8")


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read the network's weights from a ``.safetensors`` file or a Lightning checkpoint of this project, in float32.

    Raises:
        UserError: the file is damaged, or holds more than plain data and tensors.
    """
    try:
        if file.suffix == ".safetensors":
            weights = load_file(file)
        else:
            content = torch.load(file, map_location="cpu", weights_only=True)
            weights = {
                key.removeprefix(NETWORK_PREFIX): value
                for key, value in content["state_dict"].items()
                if key.startswith(NETWORK_PREFIX)
            }
    except (OSError, SafetensorError, RuntimeError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
        raise UserError(f"cannot read the weights `{file}`: {one_line(error)[:300]}") from error
    return {key: value.float() for key, value in weights.items()}


def write_weights(file: Path, weights: Mapping[str, Tensor], dtype: torch.dtype = torch.float16) -> None:
    """Write weights as ``.safetensors`` (half precision by default)."""
    with atomic_path(file) as temporary:
        save_file({key: value.detach().to(dtype).contiguous() for key, value in weights.items()}, temporary)


def load_strictly(network: torch.nn.Module, weights: Mapping[str, Tensor], file: Path) -> None:
    """Load weights into a network; every key and shape must match.

    Raises:
        UserError: it lists what is missing, left over or of another shape.
    """
    own = network.state_dict()
    missing, extra = sorted(own.keys() - weights.keys()), sorted(weights.keys() - own.keys())
    shapes = [
        f"{key} {tuple(weights[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(own.keys() & weights.keys())
        if own[key].shape != weights[key].shape
    ]
    problems = [
        f"{len(keys)} {kind}: {', '.join(keys[:20])}{' …' if len(keys) > 20 else ''}"
        for kind, keys in (("missing", missing), ("left over", extra), ("of another shape", shapes))
        if keys
    ]
    if problems:
        raise UserError(f"the weights `{file}` do not fit the network of its {HPARAMS_NAME}: {'; '.join(problems)}")
    network.load_state_dict(dict(weights))
