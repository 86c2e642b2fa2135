"""Train a separation network: ``python train.py target=bass`` (Hydra; conf/config.yaml says what there is to set)."""

import logging
import os
import sys

# Torch reads it when it is imported. Tensors in huge pages make a step on a processor up to 1.4 times as fast, since
# the system clears fewer pages (see demixer/separation/memory.py, whose way costs memory that training needs).
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from demixer.errors import UserError, one_line
from demixer.paths import CONF_DIR
from demixer.training.config import let_jobs_import
from demixer.training.train import train

log = logging.getLogger(__name__)


@hydra.main(config_path=str(CONF_DIR), config_name="config", version_base="1.3")
def main(cfg: DictConfig) -> None:
    try:
        train(cfg, HydraConfig.get().overrides.task)
    except (UserError, MisconfigurationException) as error:
        log.error(one_line(error))
        sys.exit(2)


if __name__ == "__main__":
    let_jobs_import()
    main()
