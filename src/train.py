"""Train a separation network: ``python train.py target=bass`` (Hydra; conf/config.yaml says what there is to set)."""

import logging
import os
import sys
from pathlib import Path
from typing import Any

# Torch reads it when it is imported. Tensors in huge pages make a step on a processor up to 1.4 times as fast, since
# the system clears fewer pages (see utils/memory.py, whose way costs memory that training needs).
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import hydra
import pytorch_lightning as pl
from omegaconf import DictConfig
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from model.initial_weights import adopt_settings, load_initial
from model.pl_model import SeparationModule, scaled_learning_rate
from model.separation_network import build_network
from separator import AudioParams, Separator
from utils.config import build, build_all, let_jobs_import
from utils.errors import UserError, one_line
from utils.paths import CONF_DIR
from utils.quiet import quiet_libraries
from utils.runs import describe_run, open_run, resume_path, unvalidated_steps

log = logging.getLogger(__name__)


def train(cfg: DictConfig) -> dict[str, Any]:
    """Build what the configuration describes and fit it.

    Returns:
        The metrics of the last validation.

    Raises:
        UserError: the configuration or the data cannot be used.
    """
    quiet_libraries()
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    if "teacher" in cfg and cfg.init is not None:
        raise UserError(f"`init` (={cfg.init}) and `teacher`: the student begins as the teacher, leave `init` out")
    role = "teacher" if "teacher" in cfg else "init"
    if role == "teacher" or cfg.init is not None:
        adopt_settings(cfg, role)
    ckpt_path = resume_path(cfg.ckpt_path, Path(cfg.run_dir))
    hparams = open_run(cfg)
    network = build_network(hparams)
    if cfg.init is not None and ckpt_path is None:
        load_initial(network, "init", cfg.init)
    separator = Separator(network, network.targets, network.sample_rate_hz, AudioParams(**hparams["audio_params"]))
    datamodule = build(cfg.data)
    trainer = build(cfg.trainer)(callbacks=build_all(cfg.callbacks), logger=build_all(cfg.logger))
    global_batch = trainer.world_size * cfg.data.batch_size * cfg.trainer.accumulate_grad_batches
    cfg.optimizer.lr = scaled_learning_rate(cfg.optimizer.lr, global_batch, **cfg.learning_rate)
    scheduler = build(cfg.scheduler)
    module = SeparationModule(
        network, build(cfg.loss), build(cfg.optimizer), scheduler.schedule, scheduler.interval, separator
    )
    log.info("%s", describe_run(cfg, network, global_batch))
    if left := unvalidated_steps(cfg.trainer.max_steps, cfg.data.samples_per_epoch, global_batch):
        log.warning("`trainer.max_steps` (=%d) ends %d steps after a validation", cfg.trainer.max_steps, left)
    if cfg.model.compile:
        network.bandsplitrnn.compile()
    trainer.fit(module, datamodule, ckpt_path=ckpt_path, weights_only=True)
    return dict(trainer.callback_metrics)


@hydra.main(config_path=str(CONF_DIR), config_name="config", version_base="1.3")
def main(cfg: DictConfig) -> None:
    try:
        train(cfg)
    except (UserError, MisconfigurationException) as error:
        log.error(one_line(error))
        sys.exit(2)


if __name__ == "__main__":
    let_jobs_import()
    main()
