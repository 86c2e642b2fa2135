"""github.com/crlandsc/Music-Demixing-with-Band-Split-RNN (Hugging Face crlandsc/bsrnn-*): amanteur's, in Lightning.

Its mask estimator views what its layers wrote as (…, frames) without transposing it first, and was trained so.
"""

from demixer.model.layouts import amanteur
from demixer.model.layouts.saved import Checkpoint, SavedNetwork

NAME = "crlandsc/Music-Demixing-with-Band-Split-RNN (.ckpt with hparams.yaml)"
PREFIX = "model."


def matches(checkpoint: Checkpoint) -> bool:
    return f"{PREFIX}bandsplit.layernorms.0.weight" in checkpoint.state_dict


def read(checkpoint: Checkpoint) -> SavedNetwork:
    # A Lightning checkpoint of amanteur's later code has the same keys; only its published settings tell it apart.
    return amanteur.read(checkpoint, PREFIX, frames_last="audio_params" not in checkpoint.hparams)
