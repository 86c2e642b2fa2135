"""Records of runs that were started with an older version of this program, in today's words."""

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from demixer.checkpoints.records import Record
from demixer.paths import CONF_DIR

# Where classes that records name by `_target_` stood → where they stand.
MOVED_MODULES = {
    "data.augmentations": "demixer.data.augmentations",
    "data.datamodule": "demixer.data.datamodule",
    "data.semi_supervised": "demixer.data.semi_supervised",
    "model.losses": "demixer.training.losses",
    "model.muon": "demixer.training.muon",
    "model.pl_callbacks": "demixer.training.callbacks",
    "model.pl_checkpoint_io": "demixer.training.checkpoint_io",
    "model.teacher": "demixer.training.teacher",
}
OLD_AVERAGE = "pytorch_lightning.callbacks.EMAWeightAveraging"
OLD_FILENAME = "epoch={epoch:03d}-step={step:06d}-usdr={val/usdr:.3f}"  # Hydra's grammar does not take its names


def upgraded(record: Record, hparams: Mapping[str, Any]) -> DictConfig:
    """A run's settings as this version of the program reads them.

    Args:
        record: of the run.
        hparams: of the run: the network's sizes, which an older record with ``init`` does not hold.
    """
    settings = _rename(OmegaConf.to_container(record.settings, resolve=False))
    bands = {name: hparams[name] for name in ("bands_hz", "bands_bins") if name in hparams}
    settings["target"] = {"name": settings["target"]["name"], "targets": list(hparams["targets"]), **bands}
    settings["featurizer"] = hparams["featurizer"]
    settings["model"] = settings["model"] | hparams["model"]
    return OmegaConf.create(settings)


def _rename(node: Any) -> Any:
    if isinstance(node, dict):
        node = {key: _rename(value) for key, value in node.items()}
        if "_target_" in node:
            node["_target_"] = _moved(node["_target_"])
        if node.get("filename") == OLD_FILENAME:
            node["filename"] = _today().best.filename
    elif isinstance(node, list):
        node = [_rename(one) for one in node]
    return node


def _moved(target: str) -> str:
    if target == OLD_AVERAGE:
        return _today().ema._target_
    module, _, name = target.rpartition(".")
    return f"{MOVED_MODULES[module]}.{name}" if module in MOVED_MODULES else target


def _today() -> DictConfig:
    return OmegaConf.load(CONF_DIR / "callbacks" / "default.yaml")
