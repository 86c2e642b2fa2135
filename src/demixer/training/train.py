"""A configuration → objects → fit."""

import logging
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig

from demixer.errors import UserError
from demixer.model.building import build_network
from demixer.separation.audio_params import AudioParams
from demixer.separation.separator import Separator
from demixer.training.config import build, build_all
from demixer.training.initial_weights import adopt_settings, load_initial
from demixer.training.module import SeparationModule
from demixer.training.quiet import quiet_libraries
from demixer.training.recipe import scaled_learning_rate, set_matmul_precision, warn_of_batch
from demixer.training.runs import describe_run, open_run, resume_path, unvalidated_steps
from demixer.training.teacher import build_data

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
    if cfg[role] is not None and ckpt_path is None:
        load_initial(network, role, cfg[role])
    separator = Separator(network, network.targets, network.sample_rate_hz, AudioParams(**hparams["audio_params"]))
    callbacks = build_all(cfg.callbacks)
    datamodule = build_data(cfg, callbacks)
    trainer = build(cfg.trainer)(callbacks=callbacks, logger=build_all(cfg.logger))
    global_batch = trainer.world_size * cfg.data.batch_size * cfg.trainer.accumulate_grad_batches
    cfg.optimizer.lr = scaled_learning_rate(cfg.optimizer.lr, global_batch, **cfg.learning_rate)
    scheduler = build(cfg.scheduler)
    module = SeparationModule(
        network,
        build(cfg.loss),
        build(cfg.optimizer),
        scheduler.schedule,
        scheduler.interval,
        separator,
        cfg.get("max_skipped_steps", 10),  # runs of older versions have none
    )
    warn_of_batch(global_batch, **cfg.learning_rate)
    if trainer.strategy.root_device.type == "cuda":
        set_matmul_precision(cfg.get("matmul_precision", "high"))
    log.info("%s", describe_run(cfg, network, global_batch))
    if left := unvalidated_steps(cfg.trainer, cfg.data.samples_per_epoch // global_batch):
        log.warning("`trainer.max_steps` (=%d) ends %d steps after a validation", cfg.trainer.max_steps, left)
    network.bandsplitrnn.checkpointing = cfg.model.get("checkpointing", False)
    if cfg.model.compile:
        network.bandsplitrnn.compile()
    trainer.fit(module, datamodule, ckpt_path=ckpt_path, weights_only=True)
    return dict(trainer.callback_metrics)
