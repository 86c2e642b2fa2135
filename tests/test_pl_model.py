"""Checkpoints that are whole or absent, and settings that describe no network."""

from pathlib import Path

import pytest
import torch

from demixer.model.building import build_network
from demixer.training.checkpoint_io import AtomicCheckpointIO

HPARAMS = {
    "targets": ["vocals", "drums"],
    "bands_hz": [[4000, 1000]],
    "featurizer": {"n_fft": 256, "hop_samples": 64, "sample_rate_hz": 16000},
    "model": {"features": 4, "repeats": 1},
}


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint_io, path = AtomicCheckpointIO(), tmp_path / "weights" / "last.ckpt"
    checkpoint_io.save_checkpoint({"step": 1}, path)

    def full_disk(content: object, file: Path) -> None:
        Path(file).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full_disk)
        with pytest.raises(ValueError, match=r"last\.ckpt.*No space left on device.*ckpt_path=last"):
            checkpoint_io.save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": None}, "the model's settings"),
        ({"featurizer": {"n_fft": 256, "hop_samples": 999, "sample_rate_hz": 16000}}, "`hop_samples` .=999."),
        ({"model": {"feature": 4}}, "feature"),
        ({"bands_hz": [[4000, 7]]}, "`bands_hz`"),
    ],
)
def test_settings_that_describe_no_network_are_named(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_network({**HPARAMS, **changes})
