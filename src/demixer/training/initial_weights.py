"""The trained network that a run begins with: ``init``, to be tuned, or ``teacher``, to be taught by as well."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from demixer.checkpoints.fitting import load_strictly
from demixer.checkpoints.locating import locate_networks
from demixer.errors import UserError
from demixer.model.layouts.saved import SavedNetwork
from demixer.model.pretrained import read_fitting
from demixer.model.separation_network import SeparationNetwork
from demixer.paths import CONF_DIR
from demixer.training.overriding import Place, flat, is_named, places
from demixer.training.runs import SETTABLE

log = logging.getLogger(__name__)

_MASKS = "bandsplitrnn.mask.estimators."


def adopt_settings(cfg: DictConfig, role: str, given: Sequence[str] = ()) -> None:
    """Make the bands, transform and network of ``cfg[role]`` those of the run.

    Args:
        cfg: is changed.
        role: "init" or "teacher", which must estimate the run's targets.
        given: the overrides on the command line: they may set what no weight depends on (``model.dropout``).

    Raises:
        UserError: there is no such network, or something else is asked for.
    """
    hparams = read_initial(role, cfg[role])[0].hparams
    if role == "teacher":
        _refuse_other_targets(cfg, list(hparams["targets"]))
    _refuse_other_network(cfg, role, hparams, places(given))
    bands = {name: hparams[name] for name in ("bands_hz", "bands_bins") if name in hparams}
    cfg.target = {"name": cfg.target.name, "targets": cfg.target.targets, **bands}
    cfg.featurizer = hparams["featurizer"]
    settable = {name: cfg.model[name] for name in SETTABLE if name in cfg.model}
    unasked = {name for name in settable if not is_named(("model", name), places(given))}
    kept = {name: value for name, value in settable.items() if name not in unasked or name not in hparams["model"]}
    cfg.model = {**hparams["model"], **kept}


def _refuse_other_targets(cfg: DictConfig, targets: list[str]) -> None:
    if list(cfg.target.targets) != targets:
        remedy = f"target={targets[0]}" if len(targets) == 1 else f"target.targets=[{','.join(targets)}]"
        raise UserError(
            f"`teacher` (={cfg.teacher}) estimates {', '.join(targets)}, but `target` is "
            f"{', '.join(cfg.target.targets)}: give {remedy}"
        )


def _refuse_other_network(cfg: DictConfig, role: str, hparams: Mapping[str, Any], named: Sequence[Place]) -> None:
    """A setting that is asked for must not be ignored; a file that lacks one means the paper's."""
    papers = {"model": OmegaConf.load(CONF_DIR / "model" / "bandsplitrnn.yaml")}
    taken = OmegaConf.to_container(OmegaConf.merge(papers, {name: hparams[name] for name in ("model", "featurizer")}))
    taken["target"] = {name: hparams.get(name) for name in ("bands_hz", "bands_bins")}
    has, asked = flat(taken), flat(OmegaConf.to_container(cfg, resolve=True))
    for place, value in asked.items():
        is_part = place[0] in ("model", "featurizer") or place[:2] in (("target", "bands_hz"), ("target", "bands_bins"))
        by_itself = [name for name in named if name != ("target",)]  # a target is chosen for its name: `init` has bands
        if is_part and place[-1] not in SETTABLE and is_named(place, by_itself) and value != has.get(place):
            raise UserError(
                f"`{'.'.join(place)}` (={value}) does not go with `{role}` (={cfg[role]}), where it is "
                f"{has.get(place)}: leave it out, or train without `{role}`"
            )


def load_initial(network: SeparationNetwork, role: str, path: str | Path | None) -> None:
    """Give a network the trained one's weights: the split, the sequence, and the masks of targets that both have.

    Raises:
        UserError: there is no such network, it is another one, or it takes windows of one length only.
    """
    if network.window_samples is not None:
        raise UserError(f"`{role}` (={path}) takes one length only: {network.window_samples} samples")
    saved, file = read_initial(role, path)
    theirs = list(saved.hparams["targets"])
    weights = {key: value for key, value in saved.weights.items() if not key.startswith(_MASKS)}
    for place, target in enumerate(network.targets):
        source, prefix = (saved.weights, theirs.index(target)) if target in theirs else (network.state_dict(), place)
        own = {key: value for key, value in source.items() if key.startswith(f"{_MASKS}{prefix}.")}
        weights |= {key.replace(f"{_MASKS}{prefix}.", f"{_MASKS}{place}."): value for key, value in own.items()}
    load_strictly(network, weights, file)
    if fresh := [target for target in network.targets if target not in theirs]:
        log.warning(
            "`%s` (=%s) estimates %s: the band split and the sequence are taken from it, the masks of %s begin anew",
            *(role, path, ", ".join(theirs), ", ".join(fresh)),
        )
    if unused := [target for target in theirs if target not in network.targets]:
        log.info("`%s` (=%s): the masks of %s are not used", role, path, ", ".join(unused))


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
