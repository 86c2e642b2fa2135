"""What Hydra's configuration may refer to."""

from omegaconf import OmegaConf

from utils.paths import SRC_DIR

OmegaConf.register_new_resolver("src_dir", lambda: str(SRC_DIR), replace=True)
