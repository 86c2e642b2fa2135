"""Train a separation network: ``python train.py target=bass`` (Hydra; conf/config.yaml says what there is to set)."""

import logging
import sys
from pathlib import Path
from typing import Any

import hydra
import pytorch_lightning as pl
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

import utils.config  # noqa: F401  (registers the resolvers that conf/ uses)
from model.pl_model import SeparationModule
from model.separation_network import build_network
from separator import AudioParams, Separator
from utils.checkpoints import write_hparams
from utils.errors import UserError, one_line
from utils.paths import CONF_DIR

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> dict[str, Any]:
    """Build what the configuration describes and fit it.

    Returns:
        The metrics of the last validation.

    Raises:
        UserError: the configuration or the data cannot be used.
    """
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    hparams = model_hparams(cfg)
    network = build_network(hparams)
    separator = Separator(network, network.targets, network.sample_rate_hz, AudioParams(**hparams["audio_params"]))
    scheduler = instantiate(cfg.scheduler)
    module = SeparationModule(network, instantiate(cfg.optimizer), scheduler.schedule, scheduler.interval, separator)
    datamodule = instantiate(cfg.data)
    trainer = instantiate(
        cfg.trainer, callbacks=list(instantiate(cfg.callbacks).values()), logger=list(instantiate(cfg.logger).values())
    )
    log.info("%s\n%s: %d parameters", OmegaConf.to_yaml(cfg), cfg.run_dir, sum(p.numel() for p in network.parameters()))
    write_hparams(Path(cfg.run_dir), hparams)
    trainer.fit(module, datamodule, ckpt_path=cfg.ckpt_path, weights_only=True)
    return dict(trainer.callback_metrics)


def model_hparams(cfg: DictConfig) -> dict[str, Any]:
    """What is saved with the weights: all that rebuilding the network takes, as plain data."""
    parts = {name: OmegaConf.to_container(cfg[name], resolve=True) for name in ("featurizer", "model", "audio_params")}
    return {"targets": list(cfg.target.targets), "bands_hz": OmegaConf.to_container(cfg.target.bands_hz), **parts}


@hydra.main(config_path=str(CONF_DIR), config_name="config", version_base="1.3")
def main(cfg: DictConfig) -> None:
    try:
        train(cfg)
    except UserError as error:
        log.error(one_line(error))
        sys.exit(2)


if __name__ == "__main__":
    main()
