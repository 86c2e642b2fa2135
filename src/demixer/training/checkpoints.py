"""Which of a run's states are kept: the last one, to go on from; the scored ones are Lightning's own callback's."""

import pytorch_lightning as pl
from pytorch_lightning.callbacks import ModelCheckpoint


class LastCheckpoint(ModelCheckpoint):
    """Keeps the state of every so many steps, and of the end of every epoch, of which the last may be a part.

    The scored checkpoints are written after a validation only (``save_on_train_epoch_end: false``): at the end of a
    run that ends between two validations they would carry the weights of now under the score of before.
    """

    @property
    def state_key(self) -> str:
        return super().state_key.replace(type(self).__qualname__, ModelCheckpoint.__qualname__)  # as in older runs

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save even what was saved at this step: since then, there was a validation."""
        self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not trainer.sanity_checking:
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
