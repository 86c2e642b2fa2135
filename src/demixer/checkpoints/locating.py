"""A saved model *is* a run: one folder layout, found by one code.

``{folder}/hparams.yaml`` describes the network; its weights are ``weights.safetensors`` (a saved model) or Lightning's
files in ``weights/`` (a training run), of which the best by validation uSDR is taken, named ``…-usdr{value}.ckpt``.
Checkpoints of other implementations lie as they were published (``bsrnn-opt/{vocals,bass,…}.ckpt``), and a folder of
models is one model of all their targets; which layout a file has is for :mod:`demixer.model.layouts` to recognise.
"""

import re
from pathlib import Path

from demixer.checkpoints.obtaining import download
from demixer.checkpoints.registry import read_registry
from demixer.errors import UserError
from demixer.paths import DEFAULT_MODEL, SHIPPED_MODELS_DIR, downloads_dir

HPARAMS_NAME = "hparams.yaml"
WEIGHTS_NAME = "weights.safetensors"
RUN_WEIGHTS_DIR = "weights"
LAST_NAME = "last.ckpt"
SUFFIXES = (".safetensors", ".ckpt", ".chpt", ".pt", ".pth")
SETTINGS_SUFFIXES = (".yaml", ".yml")
_STEP = re.compile(r"step[=_-]?(\d+)")
_USDR = re.compile(r"usdr=?(-?\d+(?:\.\d+)?)")  # older runs have usdr=4.722, which Hydra's grammar does not take


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
            such folders, or the name of a model that is shipped or registered; the latter is downloaded if need be.

    Raises:
        UserError: there is no model.
    """
    path = _existing(path)
    if path.is_file():
        path = _weights_of_settings(path) if path.suffix in SETTINGS_SUFFIXES else path
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


def settings_beside(weights: Path) -> Path | None:
    """The published YAML of a weights file: ``x.yaml`` or ``config_x.yaml`` of ``x.ckpt``, or the only one beside it.

    Raises:
        UserError: there are several, none of them with its name.
    """
    files = sorted(file for file in weights.absolute().parent.iterdir() if file.suffix in SETTINGS_SUFFIXES)
    files = [file for file in files if file.name != HPARAMS_NAME and not file.name.startswith(".")]
    names = (weights.stem, f"config_{weights.stem}", f"{weights.stem}_config")
    own = [file for name in names for file in files if file.stem == name]
    if len(files) > 1 and not own:
        raise UserError(
            f"`{weights}` has several YAML files beside it ({', '.join(file.name for file in files)}): name the one of "
            f"its settings `{weights.stem}.yaml`"
        )
    return next(iter(own or files), None)


def _weights_of_settings(settings: Path) -> Path:
    """The weights file that a YAML was published with."""
    folder = settings.absolute().parent
    for file in _weights_in(folder):
        if settings_beside(file) == folder / settings.name:
            return file
    raise UserError(f"`{settings}` holds settings, and the checkpoint that they describe is not beside it")


def stems_meant(path: Path) -> tuple[str, ...]:
    """Those of a model's stems that people mean by a name; none stands for all of them."""
    meant = None if _found(path) else read_registry().meaning(str(path))
    return meant.stems if meant else ()


def _existing(path: Path) -> Path:
    """What a path means: itself, a model that is here, or one that is downloaded now."""
    if found := _found(path):
        return found
    registry = read_registry()
    if meant := registry.meaning(str(path)):
        return _found(Path(meant.model)) or download(meant.model)
    if path.exists():
        return path
    raise UserError(
        f"no model at `{path}`: give a run's folder, a checkpoint in it, or a name; {registry.near(str(path))}"
    )


def _found(path: Path) -> Path | None:
    places = (path, *(folder / path for folder in _model_folders()))
    return next((place for place in places if place.is_file() or _holds_model(place)), None)


def _holds_model(folder: Path) -> bool:
    """Whether a folder is, or has in it, that of a model: one of stems hides no model of the same name."""
    return folder.is_dir() and any(
        (one / HPARAMS_NAME).is_file() or one.name == RUN_WEIGHTS_DIR or one.suffix in SUFFIXES
        for one in (folder, *folder.iterdir())
    )


def _own_weights(folder: Path) -> Path | None:
    """The weights of a saved model or of a run, where the folder is one."""
    saved = folder / WEIGHTS_NAME
    if saved.is_file():
        return saved
    return best_checkpoint(folder) if (folder / RUN_WEIGHTS_DIR).is_dir() else None


def _weights_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES and file.is_file())


def shipped_models() -> list[str]:
    """Names of the models that are here, shipped with this program or downloaded; the default one is the first."""
    names = {folder.name for place in _model_folders() for folder in place.glob("[!.]*") if _is_model(place, folder)}
    return sorted(names, key=lambda name: (name != DEFAULT_MODEL, name))


def _model_folders() -> tuple[Path, ...]:
    """Where a model's name is looked up; a clone's own ``downloads/`` is from before they went to the user's cache."""
    return SHIPPED_MODELS_DIR, downloads_dir(), SHIPPED_MODELS_DIR / "downloads"


def _is_model(place: Path, folder: Path) -> bool:
    return folder.is_dir() and (place != SHIPPED_MODELS_DIR or (folder / HPARAMS_NAME).is_file())


def _step(file: Path) -> int:
    match = _STEP.search(file.stem)
    return int(match[1]) if match else 0


def best_checkpoint(run_dir: Path) -> Path:
    """The checkpoint of a run with the highest validation uSDR in its name, or else the last one.

    Of several with one score it is the earliest: older versions named what a run held when it ended between two
    validations after the validation before, of which a file was there already.

    Raises:
        UserError: the run has none.
    """
    files = sorted((run_dir / RUN_WEIGHTS_DIR).glob("*.ckpt"))
    scored = [(float(match[1]), file) for file in files if (match := _USDR.search(file.stem))]
    if scored:
        return max(scored, key=lambda pair: (pair[0], -_step(pair[1])))[1]
    if not files:
        raise UserError(f"`{run_dir}` holds no weights: neither {WEIGHTS_NAME} nor {RUN_WEIGHTS_DIR}/*.ckpt")
    return next((file for file in files if file.name == LAST_NAME), files[-1])
