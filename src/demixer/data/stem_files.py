"""MUSDB18's ``.stem.mp4`` files, decoded once to WAV: random access into AAC is slow and needs ffmpeg each time."""

import os
import shutil
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from demixer.data.subsets import SUBSETS, subset_folder
from demixer.errors import UserError
from demixer.progress import progress_bar

SUFFIX = ".stem.mp4"
# The audio streams of a file, in order: `stem_ids` in configs/mus.yaml of the package musdb. The mixture is a stream
# of its own, encoded with loss like the others, so it is not exactly the sum of the stems.
STREAMS = ("mixture", "drums", "bass", "other", "vocals")


def find_stem_files(root: Path, subset: str) -> list[Path]:
    """The ``.stem.mp4`` files of a subset, by the rule of :func:`demixer.data.tracks.find_tracks`, sorted by name."""
    folder = subset_folder(Path(root), subset)
    return sorted(folder.rglob(f"*{SUFFIX}")) if folder else []


def decode_stem_files(files: Sequence[Path], wav_dir: Path, subset: str) -> int:
    """Write ``{wav_dir}/{subset}/{song}/{stream}.wav`` (16 bit) for each file; return how many were not there yet.

    The folders are laid out like MUSDB18-HQ. A song's folder appears whole or not at all, so a run that was
    interrupted goes on where it stopped.

    Raises:
        UserError: ffmpeg is not installed, or a file cannot be decoded.
    """
    if subset not in SUBSETS:
        raise UserError(f"subset `{subset}` is neither `train` nor `test`")
    missing = {
        file: folder for file in files if not (folder := Path(wav_dir, subset, file.name.removesuffix(SUFFIX))).is_dir()
    }
    if missing and not shutil.which("ffmpeg"):
        raise UserError(f"decoding `{next(iter(missing))}` needs the program ffmpeg; `apt install ffmpeg` gets it")
    with progress_bar("songs") as bar:
        task = bar.add_task("decoding", total=len(missing))
        for file, folder in missing.items():
            _decode(file, folder)
            bar.advance(task)
    return len(missing)


def _decode(file: Path, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{uuid.uuid4().hex[:12]}.part")  # find_tracks passes over hidden folders
    temporary.mkdir()
    command = ["ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", str(file.resolve())]
    for number, stream in enumerate(STREAMS):
        options = ["-map", f"0:a:{number}", "-c:a", "pcm_s16le", "-map_metadata", "-1", "-fflags", "+bitexact"]
        command += [*options, str(temporary / f"{stream}.wav")]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise UserError(f"cannot decode `{file}`: ffmpeg says {result.stderr.strip()[-500:]}")
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
