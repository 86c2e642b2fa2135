"""The trained network that a run begins with: ``init``, to be tuned, or ``teacher``, to be taught by as well."""

from pathlib import Path

from omegaconf import DictConfig

from demixer.checkpoints.fitting import load_strictly
from demixer.checkpoints.hparams import read_hparams
from demixer.checkpoints.locating import locate_networks
from demixer.errors import UserError
from demixer.model.layouts.saved import SavedNetwork
from demixer.model.pretrained import read_fitting
from demixer.model.separation_network import SeparationNetwork
from demixer.training.runs import RUN_ONLY


def adopt_settings(cfg: DictConfig, role: str) -> None:
    """Make the bands, transform and network of ``cfg[role]`` those of the run; one that goes on has them in its folder.

    Args:
        cfg: is changed.
        role: "init" or "teacher".

    Raises:
        UserError: there is no such network, or it estimates something else than ``target``.
    """
    if cfg.ckpt_path is None:
        hparams = read_initial(role, cfg[role])[0].hparams
    else:
        hparams = read_hparams(Path(cfg.run_dir))
    targets = list(hparams["targets"])
    if list(cfg.target.targets) != targets:
        remedy = f"target={targets[0]}" if len(targets) == 1 else f"target.targets=[{','.join(targets)}]"
        raise UserError(
            f"`{role}` (={cfg[role]}) estimates {', '.join(targets)}, but `target` is "
            f"{', '.join(cfg.target.targets)}: give {remedy}"
        )
    bands = {name: hparams[name] for name in ("bands_hz", "bands_bins") if name in hparams}
    cfg.target = {"name": cfg.target.name, "targets": targets, **bands}
    cfg.featurizer = hparams["featurizer"]
    cfg.model = {**hparams["model"], **{name: cfg.model[name] for name in RUN_ONLY if name in cfg.model}}


def load_initial(network: SeparationNetwork, role: str, path: str | Path | None) -> None:
    """Give a network the trained one's weights.

    Raises:
        UserError: there is no such network, it is another one, or it takes windows of one length only.
    """
    if network.window_samples is not None:
        raise UserError(f"`{role}` (={path}) takes one length only: {network.window_samples} samples")
    saved, file = read_initial(role, path)
    load_strictly(network, saved.weights, file)


def read_initial(role: str, path: str | Path | None) -> tuple[SavedNetwork, Path]:
    """The one network that ``path`` means, and its file.

    Raises:
        UserError: there is none, or there are several.
    """
    if path is None:
        raise UserError(f"`{role}` is missing: give the folder of the run or of the model that is fine-tuned")
    networks = locate_networks(Path(path))
    if len(networks) > 1:
        raise UserError(f"`{role}` (={path}) is {len(networks)} networks: give one of them")
    folder, file = networks[0]
    return read_fitting(folder, file), file
