"""Checkpoints that are whole or absent."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from demixer.errors import UserError
from demixer.temporary import atomic_path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside its place and renames it, so that a killed run leaves the previous one intact.

    Lightning writes to the system's temporary folder first, and moving from there to another disk is no longer one
    step.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        try:
            with atomic_path(Path(path)) as temporary:
                torch.save(checkpoint, temporary)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            raise UserError(
                f"cannot write the checkpoint `{path}`: {error}; the one before it is intact, go on with ckpt_path=last"
            ) from error
