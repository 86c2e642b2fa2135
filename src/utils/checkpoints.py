"""A saved model *is* a run: one folder layout, read by one code, and nothing that is read can execute.

``{folder}/hparams.yaml`` describes the network; its weights are ``weights.safetensors`` (a saved model) or Lightning's
files in ``weights/`` (a training run), of which the best by validation uSDR is taken, named ``…-usdr={value}.ckpt``.
Checkpoints of other implementations lie as they were published (``bsrnn-opt/{vocals,bass,…}.ckpt``), and a folder of
models is one model of all their targets; which layout a file has is for :mod:`model.layouts` to recognise.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from utils.errors import UserError, one_line
from utils.paths import SAVED_MODELS_DIR, atomic_path
from utils.safe_pickle import load_safely

HPARAMS_NAME = "hparams.yaml"
WEIGHTS_NAME = "weights.safetensors"
RUN_WEIGHTS_DIR = "weights"
LAST_NAME = "last.ckpt"
NETWORK_PREFIX = "network."
DOWNLOADS_DIR = SAVED_MODELS_DIR / "downloads"
SUFFIXES = (".safetensors", ".ckpt", ".pt", ".pth")
_USDR = re.compile(r"usdr=(-?\d+(?:\.\d+)?)")


def locate_model(path: Path) -> tuple[Path, Path]:
    """The folder with ``hparams.yaml`` and the weights file that a path means.

    Returns:
        Folder and file; for several networks that are one model, their folder twice.

    Raises:
        UserError: there is no model.
    """
    networks = locate_networks(path)
    if len(networks) == 1:
        return networks[0]
    folder = _existing(path)
    return folder, folder


def locate_networks(path: Path) -> list[tuple[Path, Path]]:
    """The folder and the weights file of every network of a model: one, or one per target.

    Args:
        path: a saved model's or a run's folder, a weights file in one, a folder of published checkpoints, a folder of
            such folders, or the name of a shipped or downloaded model.

    Raises:
        UserError: there is no model.
    """
    path = _existing(path)
    if path.is_file():
        folder = path.parent.parent if path.parent.name == RUN_WEIGHTS_DIR else path.parent
        return [(folder, path)]
    if own := _own_weights(path):
        return [(path, own)]
    if published := _weights_in(path):
        return [(path, file) for file in published]
    inner = [(folder, _own_weights(folder)) for folder in sorted(path.iterdir()) if (folder / HPARAMS_NAME).is_file()]
    networks = [(folder, file) for folder, own in inner for file in ([own] if own else _weights_in(folder))]
    if not networks:
        raise UserError(
            f"`{path}` holds no weights: neither {WEIGHTS_NAME} nor {RUN_WEIGHTS_DIR}/*.ckpt nor published checkpoints"
        )
    return networks


def _existing(path: Path) -> Path:
    for candidate in (path, SAVED_MODELS_DIR / path, DOWNLOADS_DIR / path):
        if candidate.exists():
            return candidate
    raise UserError(f"no model at `{path}`: give a run's folder, a checkpoint in it, or one of {shipped_models()}")


def _own_weights(folder: Path) -> Path | None:
    """The weights of a saved model or of a run, where the folder is one."""
    saved = folder / WEIGHTS_NAME
    if saved.is_file():
        return saved
    return best_checkpoint(folder) if (folder / RUN_WEIGHTS_DIR).is_dir() else None


def _weights_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES and file.is_file())


def shipped_models() -> list[str]:
    """Names of the models in ``saved_models/``, the downloaded ones included."""
    shipped = [file.parent.name for file in SAVED_MODELS_DIR.glob(f"*/{HPARAMS_NAME}")]
    return sorted(shipped + [folder.name for folder in DOWNLOADS_DIR.glob("[!.]*") if folder.is_dir()])


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


def read_content(file: Path) -> dict[str, Any]:
    """Read what a weights file holds, as it is: a ``.safetensors`` file's tensors, or a pickle's plain content.

    Raises:
        UserError: the file is damaged, holds more than plain data and tensors, or is no mapping.
    """
    if file.suffix != ".safetensors":
        content = load_safely(file)
    else:
        try:
            content = load_file(file)
        except (OSError, SafetensorError) as error:
            raise UserError(
                f"cannot read the weights `{file}`, copy or download them again: {one_line(error)[:300]}"
            ) from error
    if not isinstance(content, dict):
        raise UserError(f"cannot read the weights `{file}`: it holds a {type(content).__name__}, no state dict")
    return content


def read_weights(file: Path) -> dict[str, Tensor]:
    """Read the network's weights from this project's own file, in float32.

    Raises:
        UserError: the file is damaged, or holds more than plain data and tensors.
    """
    content = read_content(file)
    state_dict = content.get("state_dict")
    if not isinstance(state_dict, Mapping):
        return {key: value.float() for key, value in content.items()}
    return {
        key.removeprefix(NETWORK_PREFIX): value.float()
        for key, value in state_dict.items()
        if key.startswith(NETWORK_PREFIX)
    }


def write_weights(file: Path, weights: Mapping[str, Tensor], dtype: torch.dtype = torch.float16) -> None:
    """Write weights as ``.safetensors`` (half precision by default)."""
    with atomic_path(file) as temporary:
        # save_file would leave the file readable by its owner alone
        temporary.write_bytes(save({key: value.detach().to(dtype).contiguous() for key, value in weights.items()}))


def load_strictly(network: torch.nn.Module, weights: Mapping[str, Tensor], file: Path) -> None:
    """Load weights into a network; every key and shape must match.

    Raises:
        UserError: it lists what is missing, left over or of another shape.
    """
    check_fit(network, weights, file)
    network.load_state_dict(dict(weights))


def check_fit(network: torch.nn.Module, weights: Mapping[str, Tensor], file: Path) -> None:
    """Refuse weights of other keys or shapes than a network's, which may be on the meta device.

    Raises:
        UserError: it lists what is missing, left over or of another shape.
    """
    own = network.state_dict()
    shapes = [
        f"{key} {tuple(weights[key].shape)} instead of {tuple(own[key].shape)}"
        for key in sorted(own.keys() & weights.keys())
        if own[key].shape != weights[key].shape
    ]
    check_keys(weights.keys(), own.keys(), file, shapes)


def check_keys(keys: Collection[str], expected: Collection[str], file: Path, shapes: Sequence[str] = ()) -> None:
    """Refuse weights whose keys are not those that their network has.

    Raises:
        UserError: it lists what is missing, left over or (``shapes``) of another shape.
    """
    missing, extra = sorted(set(expected) - set(keys)), sorted(set(keys) - set(expected))
    problems = [
        f"{len(names)} {kind}: {', '.join(names[:5])}{' …' if len(names) > 5 else ''}"
        for kind, names in (("missing", missing), ("left over", extra), ("of another shape", shapes))
        if names
    ]
    if problems:
        raise UserError(f"the weights `{file}` do not fit the network of its settings: {'; '.join(problems)}")
