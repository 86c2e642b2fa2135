"""A configuration → objects → fit."""

import logging
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
from omegaconf import DictConfig

from demixer.errors import UserError
from demixer.model.building import build_network
from demixer.model.separation_network import SeparationNetwork
from demixer.separation.audio_params import AudioParams
from demixer.separation.separator import Separator
from demixer.training.config import build, build_all
from demixer.training.initial_weights import adopt_settings, load_initial
from demixer.training.module import SeparationModule
from demixer.training.quiet import quiet_libraries
from demixer.training.recipe import scaled_learning_rate, set_matmul_precision, warn_of_batch
from demixer.training.resuming import describe_resume
from demixer.training.runs import describe_run, model_hparams
from demixer.training.starting import Start, starting
from demixer.training.teacher import build_data
from demixer.training.validation_log import end_logging
from demixer.training.validation_times import check_validations

log = logging.getLogger(__name__)


def train(cfg: DictConfig, given: Sequence[str] = ()) -> dict[str, Any]:
    """Build what the configuration describes and fit it, or go on with a run (``cfg.ckpt_path``).

    Args:
        cfg: what Hydra has composed; is changed.
        given: the overrides of the command line; of a run that goes on, only these settings change.

    Returns:
        The metrics of the last validation.

    Raises:
        UserError: the configuration, the run's folder or the data cannot be used.
    """
    quiet_libraries()
    with starting(cfg, given) as start:
        return _fit(start)


def _fit(start: Start) -> dict[str, Any]:
    cfg, resume = start.cfg, start.resume
    pl.seed_everything(cfg.seed, workers=True, verbose=False)
    network, separator, hparams = _build_network(cfg, None if resume else start.overrides)
    callbacks = build_all(cfg.callbacks)
    datamodule = build_data(cfg, callbacks)
    trainer = build(cfg.trainer)(callbacks=callbacks, logger=build_all(cfg.logger))
    start.write(hparams, trainer.world_size)
    global_batch = trainer.world_size * datamodule.crops_per_batch * cfg.trainer.accumulate_grad_batches
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
    log.info("%s", describe_run(cfg, network, global_batch, resume and resume.lr))
    if resume:
        log.info("%s", describe_resume(resume, cfg.data.batch_size, trainer.world_size))
    check_validations(cfg.trainer, cfg.data.samples_per_epoch // (trainer.world_size * cfg.data.batch_size))
    network.bandsplitrnn.checkpointing = cfg.model.get("checkpointing", False)
    if cfg.model.compile:
        network.bandsplitrnn.compile()
    try:
        trainer.fit(module, datamodule, ckpt_path=str(resume.checkpoint) if resume else None, weights_only=True)
    finally:
        end_logging(trainer.loggers)
    return dict(trainer.callback_metrics)


def _build_network(cfg: DictConfig, fresh: Sequence[str] | None) -> tuple[SeparationNetwork, Separator, dict[str, Any]]:
    """The network, what separates songs with it, and its settings.

    Args:
        cfg: of the run; is changed where the network begins with a trained one's sizes.
        fresh: the overrides of a run that begins, whose network may begin with a trained one's weights.
    """
    if "teacher" in cfg and cfg.init is not None:
        raise UserError(f"`init` (={cfg.init}) and `teacher`: the student begins as the teacher, leave `init` out")
    role = "teacher" if "teacher" in cfg else "init"
    initial = fresh is not None and (role == "teacher" or cfg.init is not None)
    if initial:
        adopt_settings(cfg, role, fresh)
    hparams = model_hparams(cfg)
    network = build_network(hparams)
    if initial:
        load_initial(network, role, cfg[role])
    audio_params = AudioParams(**hparams["audio_params"])
    return network, Separator(network, network.targets, network.sample_rate_hz, audio_params), hparams
