"""What an evaluation does song by song: find the songs, separate each once, score every target."""

import datetime
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from omegaconf import OmegaConf
from torch import Tensor

from demixer.audio import read_audio
from demixer.data.tracks import SOURCES, Track, find_tracks, split_tracks
from demixer.errors import UserError
from demixer.evaluation.gallery import Gallery
from demixer.evaluation.metrics import csdr, finite_median, not_finite, usdr
from demixer.evaluation.results import Score
from demixer.progress import progress_bar

WINDOW_SECONDS = HOP_SECONDS = 1.0


class Separates(Protocol):
    """What is measured: :class:`demixer.separation.separator.Separator`, or anything that can be called like it."""

    targets: Sequence[str]

    def __call__(self, waveform: Tensor, sample_rate_hz: int) -> dict[str, Tensor]:
        """Separate (C, L) at ``sample_rate_hz`` into ``{target: (C, L)}`` at the same rate."""


def dataset_folders(run_dir: Path, given: Path | None = None) -> list[Path]:
    """The dataset: ``given``, else ``$MUSDB_DIR``, else the one that the run was trained on if it is still there.

    Raises:
        UserError: none is known, or it does not exist.
    """
    named = given or os.environ.get("MUSDB_DIR")
    if named:
        folders = [Path(named)]
    else:
        folders = [Path(root) for root in _recorded(run_dir, "data.roots") or () if Path(root).is_dir()]
    if not folders:
        raise UserError("no dataset: give MUSDB18-HQ's folder with -i MUSDB_DIR, or set MUSDB_DIR in the environment")
    if not folders[0].is_dir():
        raise UserError(f"dataset folder `{named}` ({'-i' if given else '$MUSDB_DIR'}) does not exist")
    return folders


def songs_of(
    folders: Sequence[Path], subset: str, split: str | None = None, run_dir: Path | None = None
) -> list[Track]:
    """The songs of a subset (``test`` or ``train``), or of one split (``valid`` or ``train``) of the subset train.

    A run that chose its own validation songs (``data.valid``) is measured on those.

    Raises:
        UserError: there are none, or files are bad.
    """
    if split and subset != "train":
        raise UserError(f"--split {split} divides the subset train, not {subset}: use --subset train")
    try:
        tracks = find_tracks(folders, ("mixture", *SOURCES), subset)
    except UserError as error:
        raise UserError(f"{error}{_remedy(folders, subset)}") from error
    if split:
        tracks = split_tracks(tracks, split, _recorded(run_dir, "data.valid") if run_dir else None)
    if not tracks:
        raise UserError(f"no song of {', '.join(f'`{folder}`' for folder in folders)} is in split `{split}`")
    return tracks


def measure(separator: Separates, tracks: Iterable[Track], gallery: Gallery | None = None) -> list[Score]:
    """Score every track; offer what was heard to ``gallery``."""
    tracks = list(tracks)
    scores: list[Score] = []
    with progress_bar("songs") as bar:
        task = bar.add_task("evaluating", total=len(tracks))
        for track in tracks:
            scores += measure_song(separator, track, gallery)
            bar.advance(task)
    if not scores:
        raise UserError(f"none of the songs has a file of {', '.join(separator.targets)}: nothing to measure")
    return scores


def measure_song(separator: Separates, track: Track, gallery: Gallery | None = None) -> list[Score]:
    """Score the targets of one song for which it has a true source, at the song's own sample rate."""
    targets = [target for target in separator.targets if target in track.paths]
    if not targets:
        return []
    mixture = _mixture(track)
    references = torch.stack([read_audio(track.paths[target])[0] for target in targets])
    estimates = _separate(separator, mixture, track, targets)
    window, hop = (round(seconds * track.sample_rate_hz) for seconds in (WINDOW_SECONDS, HOP_SECONDS))
    windows = csdr(references, estimates, window, hop).tolist()
    mixture_windows = csdr(references, mixture.expand_as(references), window, hop).tolist()
    scores = []
    for i, target in enumerate(targets):
        ours = usdr(references[i], estimates[i]), finite_median(windows[i])
        scores.append(Score(track.name, target, *ours, usdr(references[i], mixture), finite_median(mixture_windows[i])))
        if gallery:
            heard = {"mixture": mixture, "truth": references[i], "estimate": estimates[i]}
            gallery.offer(track.name, target, ours[0], track.sample_rate_hz, heard)
    return scores


def about_run(run_dir: Path, folders: Sequence[Path], subset: str, split: str | None, device: object) -> dict[str, Any]:
    """What the numbers are of: names, not places, since a saved model's files are passed on to others."""
    return {
        "model": run_dir.resolve().name,
        "dataset": ", ".join(folder.resolve().name for folder in folders),
        "subset": subset,
        "split": split,
        "cSDR": f"windows of {WINDOW_SECONDS:g} s, hop {HOP_SECONDS:g} s",
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "device": str(device),
        "versions": {"Python": platform.python_version(), "torch": torch.__version__},
    }


def _separate(separator: Separates, mixture: Tensor, track: Track, targets: Sequence[str]) -> Tensor:
    """The estimates (S, C, L) at the track's rate."""
    stems = separator(mixture, track.sample_rate_hz)
    for target in targets:
        if not stems[target].isfinite().all():
            raise UserError(not_finite(target, track.name))
    return torch.stack([stems[target] for target in targets])


def _mixture(track: Track) -> Tensor:
    if "mixture" in track.paths:
        return read_audio(track.paths["mixture"])[0]
    return torch.stack([read_audio(path)[0] for path in track.paths.values()]).sum(0)


def _recorded(run_dir: Path, key: str) -> Any:
    """A setting of the training run; None in a saved model, which has no training configuration."""
    config = run_dir / "hydra" / "config.yaml"
    value = OmegaConf.select(OmegaConf.load(config), key) if config.is_file() else None
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _remedy(folders: Sequence[Path], subset: str) -> str:
    if any(next(folder.rglob("*.stem.mp4"), None) for folder in folders):
        return (
            f"; its .stem.mp4 files must be decoded first: python prepare_dataset.py -i {folders[0]} -o files/ "
            f"--subset {subset} names the folder of WAV files that it makes: give that one"
        )
    if subset == "test" and any((folder / "train").is_dir() for folder in folders):
        return "; the songs of train are measured with --subset train --split valid"
    return ""
