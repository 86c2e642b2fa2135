"""Where things stand: in a clone, or in an installed package that nobody writes to."""

import os
from pathlib import Path

from platformdirs import user_cache_path

PACKAGE_DIR = Path(__file__).resolve().parent
SRC_DIR = PACKAGE_DIR.parent
PROJECT_DIR = SRC_DIR.parent
IN_CLONE = (PROJECT_DIR / "conf" / "config.yaml").is_file()  # else the three below do not exist
CONF_DIR = PROJECT_DIR / "conf"
FILES_DIR = SRC_DIR / "files"
LOGS_DIR = SRC_DIR / "logs"
SHIPPED_MODELS_DIR = (PROJECT_DIR if IN_CLONE else PACKAGE_DIR) / "saved_models"
DEFAULT_MODEL, LIVE_MODEL = "musdb18-7s", "live-46ms"  # in it: what separates songs, and what separates as it plays


def downloads_dir() -> Path:
    """Where downloaded models live: ``$DEMIXER_HOME/models``, or else in the user's cache folder."""
    home = os.environ.get("DEMIXER_HOME")
    return (Path(home) if home else user_cache_path("demixer", appauthor=False)) / "models"
