"""What an evaluation does song by song: find the songs, separate each once, score every target."""

import datetime
import math
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from demixer import __version__
from demixer.checkpoints.records import read_record
from demixer.commit import git_commit
from demixer.datasets.layouts import FOLDERS
from demixer.datasets.stem_names import sources_around
from demixer.datasets.tracks import Track, find_tracks, split_tracks
from demixer.errors import UserError
from demixer.evaluation.further import Further
from demixer.evaluation.gallery import Gallery
from demixer.evaluation.metrics import HOP_SECONDS, WINDOW_SECONDS, csdr, finite_median, not_finite, usdr
from demixer.evaluation.scored_songs import MusdbTrack, ScoredSong, scored_song
from demixer.evaluation.scores import Score
from demixer.progress import progress_bar
from demixer.separation.live import latency_text
from demixer.separation.separator import Separator
from demixer.sources import SOURCES


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
        folders = [Path(root) for root in _recorded(run_dir, "data.roots") or () if root and Path(root).is_dir()]
    if not folders:
        raise UserError("no dataset: give MUSDB18-HQ's folder with -i MUSDB_DIR, or set MUSDB_DIR in the environment")
    if not folders[0].is_dir():
        raise UserError(f"dataset folder `{named}` ({'-i' if given else '$MUSDB_DIR'}) does not exist")
    return folders


def songs_of(
    folders: Sequence[Path],
    subset: str,
    split: str | None = None,
    run_dir: Path | None = None,
    targets: Sequence[str] = SOURCES,
) -> list[Track]:
    """The songs of a subset (``test`` or ``train``), or of one split (``valid``, ``held-out``, ``train``) of train.

    A run that chose its own songs for these (``data.valid``, ``data.held_out``) is measured on those, with the sources
    that it mixed (``data.sources``); else with those around its ``targets``.

    Raises:
        UserError: there are none, or files are bad.
    """
    if split and subset != "train":
        raise UserError(f"--split {split} divides the subset train, not {subset}: use --subset train")
    try:
        layout = _layout(folders, run_dir)
        mixed = _recorded(run_dir, "data.sources") if run_dir else None
        mixed = mixed or sources_around(targets, folders, subset, layout, all_needed=False)
        tracks = find_tracks(folders, ("mixture", *mixed), subset, layout)
    except UserError as error:
        raise UserError(f"{error}{_remedy(folders, subset)}") from error
    if split:
        valid, held_out = (_recorded(run_dir, f"data.{name}") if run_dir else None for name in ("valid", "held_out"))
        tracks = split_tracks(tracks, split, valid, held_out or ())
    if not tracks:
        raise UserError(f"no song of {', '.join(f'`{folder}`' for folder in folders)} is in split `{split}`")
    return tracks


def measure(
    separator: Separates,
    tracks: Iterable[Track | MusdbTrack],
    gallery: Gallery | None = None,
    further: Sequence[Further] = (),
) -> list[Score]:
    """Score every track.

    Args:
        separator: what is measured.
        tracks: the songs: of :func:`songs_of`, or ``musdb.DB(…)``.
        gallery: is offered what was heard.
        further: metrics to measure beside uSDR and cSDR.

    Raises:
        UserError: no song has a true source of any target, or an estimate is not finite.
    """
    scores = [score for _, of_song in measured_songs(separator, tracks, gallery, further) for score in of_song]
    return some_scores(scores, separator.targets)


def some_scores(scores: list[Score], targets: Iterable[str]) -> list[Score]:
    """The scores, if there are any.

    Raises:
        UserError: there are none.
    """
    if not scores:
        raise UserError(f"none of the songs has a file of {', '.join(targets)}: nothing to measure")
    return scores


def measured_songs(
    separator: Separates,
    tracks: Iterable[Track | MusdbTrack],
    gallery: Gallery | None = None,
    further: Sequence[Further] = (),
) -> Iterator[tuple[str, list[Score]]]:
    """Each song's name and scores (none, where it has no true source of any target), as soon as it is measured."""
    tracks = list(tracks)
    with progress_bar("songs") as bar:
        task = bar.add_task("evaluating", total=len(tracks))
        for track in tracks:
            yield track.name, measure_song(separator, track, gallery, further)
            bar.advance(task)


def measure_song(
    separator: Separates,
    track: Track | MusdbTrack,
    gallery: Gallery | None = None,
    further: Sequence[Further] = (),
) -> list[Score]:
    """Score the targets of one song for which it has a true source, at the song's own sample rate."""
    song = scored_song(track)
    targets = [target for target in separator.targets if target in song.sources]
    if not targets:
        return []
    rate_hz, mixture = song.sample_rate_hz, song.mixture()
    references = torch.stack([song.source(target) for target in targets])
    estimates = _separate(separator, mixture, song, targets)
    window, hop = (round(seconds * rate_hz) for seconds in (WINDOW_SECONDS, HOP_SECONDS))
    windows = csdr(references, estimates, window, hop).tolist()
    mixture_windows = csdr(references, mixture.expand_as(references), window, hop).tolist()
    measured = [metrics(mixture, references, estimates, rate_hz) for metrics in further]
    scores = []
    for i, target in enumerate(targets):
        ours = usdr(references[i], estimates[i]), finite_median(windows[i])
        plain = usdr(references[i], mixture), finite_median(mixture_windows[i])
        more = {name: value for of_targets in measured for name, value in of_targets[i].items()}
        scores.append(Score(song.name, target, *ours, *plain, more))
        if gallery is not None and not math.isnan(ours[0]):
            heard = {"mixture": mixture, "truth": references[i], "estimate": estimates[i]}
            gallery.offer(song.name, target, ours[0], rate_hz, heard)
    return scores


def about_run(
    run_dir: Path, folders: Sequence[Path], subset: str, split: str | None, separator: Separator
) -> dict[str, Any]:
    """What the numbers are of: names, not places, since a saved model's files are passed on to others."""
    params, latency_samples = separator.audio_params, getattr(separator, "latency_samples", None)
    windows = f"{params.window_seconds:g} s, hop {params.hop_seconds:g} s, {params.fade}, {params.shifts} shifts"
    cutting = {"windows": windows}
    if latency_samples is not None:
        cutting = {"windows": "none", "latency": latency_text(latency_samples, separator.sample_rate_hz)}
    return {
        "model": run_dir.resolve().name,
        "dataset": ", ".join(folder.resolve().name for folder in folders),
        "subset": subset,
        "split": split,
        "cSDR": f"windows of {WINDOW_SECONDS:g} s, hop {HOP_SECONDS:g} s",
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "commit": git_commit(),
        "device": str(separator.device),
        "precision": str(separator.precision).removeprefix("torch."),
        **cutting,
        "versions": {"demixer": __version__, "Python": platform.python_version(), "torch": torch.__version__},
    }


def _separate(separator: Separates, mixture: Tensor, song: ScoredSong, targets: Sequence[str]) -> Tensor:
    """The estimates (S, C, L) at the song's rate."""
    stems = separator(mixture, song.sample_rate_hz)
    for target in targets:
        if not stems[target].isfinite().all():
            raise UserError(not_finite(target, song.name))
    return torch.stack([stems[target] for target in targets])


def _layout(folders: Sequence[Path], run_dir: Path | None) -> str | Sequence[str]:
    """How songs lie in the run's own dataset; in another one, as in MUSDB18-HQ."""
    layout = _recorded(run_dir, "data.layout") if run_dir else None
    if layout in (None, FOLDERS):
        return FOLDERS
    return layout if [Path(root) for root in _recorded(run_dir, "data.roots")] == list(folders) else FOLDERS


def _recorded(run_dir: Path, key: str) -> Any:
    """A setting of the training run; None in a saved model, which has no training configuration."""
    record = read_record(run_dir)
    return None if record is None else record.setting(key)


def _remedy(folders: Sequence[Path], subset: str) -> str:
    if any(next(folder.rglob("*.stem.mp4"), None) for folder in folders):
        return (
            f"; its .stem.mp4 files must be decoded first: python prepare_dataset.py -i {folders[0]} -o files/ "
            f"--subset {subset} names the folder of WAV files that it makes: give that one"
        )
    if subset == "test" and any((folder / "train").is_dir() for folder in folders):
        return "; the songs of train are measured with --subset train --split valid"
    return ""
