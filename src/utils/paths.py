"""Where things stand, and how files come into being whole or not at all."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parents[2]
SRC_DIR = PROJECT_DIR / "src"
CONF_DIR = PROJECT_DIR / "conf"
FILES_DIR = SRC_DIR / "files"
LOGS_DIR = SRC_DIR / "logs"
SAVED_MODELS_DIR = PROJECT_DIR / "saved_models"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` on success, remove it on any failure.

    The temporary name keeps the suffix, since writers choose the format by it, and stays short, since a long
    ``path`` may already fill the file system's 255 bytes.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid.uuid4().hex[:12]}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
