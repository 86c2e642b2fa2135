"""MUSDB18's ``.stem.mp4`` files, decoded once to WAV, since random access into AAC is slow; or read whole."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from demixer.audio import FORMATS, AudioReader, open_streams
from demixer.datasets.subsets import SUBSETS, subset_folder
from demixer.errors import UserError
from demixer.progress import progress_bar
from demixer.temporary import atomic_folder

SUFFIX = ".stem.mp4"
# The audio streams of a file, in order: `stem_ids` in configs/mus.yaml of the package musdb. The mixture is a stream
# of its own, encoded with loss like the others, so it is not exactly the sum of the stems.
STREAMS = ("mixture", "drums", "bass", "other", "vocals")
# A stream keeps what its encoder filled the last frame up with, though the file tells that it does not count: the 7 s
# excerpts then have 300,032 samples, as when the published figures were measured (decoded by the program ffmpeg 5.1),
# and not 299,891. The separation's last window ends with the song, so that single songs would score up to 0.26 dB
# otherwise. Where a file tells of no such rest, both are the same.
WHOLE_FRAMES = True
BLOCK_SAMPLES = 1 << 18  # decoded at once: 6 s


def find_stem_files(root: Path, subset: str) -> list[Path]:
    """The ``.stem.mp4`` files of a subset (:func:`demixer.datasets.subsets.subset_folder`), sorted by name."""
    folder = subset_folder(Path(root), subset)
    return sorted(folder.rglob(f"*{SUFFIX}")) if folder else []


def read_stem_file(file: Path) -> tuple[dict[str, Tensor], int]:
    """Decode a whole file.

    Returns:
        ``{stream: (C, L)}`` in float32 for all of ``STREAMS``, and their sample rate in Hz.

    Raises:
        UserError: the file is damaged, or holds fewer streams.
    """
    with _open_stems(file) as readers:
        streams = {name: torch.cat(list(_blocks(reader)), dim=-1) for name, reader in readers.items()}
        return streams, readers["mixture"].sample_rate_hz


def decode_stem_files(files: Sequence[Path], wav_dir: Path, subset: str) -> int:
    """Write ``{wav_dir}/{subset}/{song}/{stream}.wav`` (16 bit) for each file; return how many were not there yet.

    The folders are laid out like MUSDB18-HQ. A song's folder appears whole or not at all, so a run that was
    interrupted goes on where it stopped.

    Raises:
        UserError: a file is damaged, or holds fewer streams.
    """
    if subset not in SUBSETS:
        raise UserError(f"subset `{subset}` is neither `train` nor `test`")
    missing = {
        file: folder for file in files if not (folder := Path(wav_dir, subset, file.name.removesuffix(SUFFIX))).is_dir()
    }
    with progress_bar("songs") as bar:
        task = bar.add_task("decoding", total=len(missing))
        for file, folder in missing.items():
            _decode(file, folder)
            bar.advance(task)
    return len(missing)


def _decode(file: Path, folder: Path) -> None:
    # find_tracks passes over hidden folders
    with _open_stems(file) as readers, atomic_folder(folder) as hidden:
        for name, reader in readers.items():
            wav = FORMATS["wav16"].open(hidden / f"{name}.wav", reader.sample_rate_hz, reader.channels)
            with wav as write:
                for block in _blocks(reader):
                    write(block)


@contextmanager
def _open_stems(file: Path) -> Iterator[dict[str, AudioReader]]:
    """A reader for each of ``STREAMS``; what goes wrong meanwhile is told with the file's name."""
    try:
        with open_streams(file, WHOLE_FRAMES) as readers:
            if len(readers) < len(STREAMS):
                raise UserError(
                    f"it has {len(readers)} audio stream(s), and one of MUSDB18 has five: {', '.join(STREAMS)}"
                )
            yield dict(zip(STREAMS, readers, strict=False))
    except UserError as error:
        raise UserError(f"cannot decode `{file}`: {error}") from error


def _blocks(reader: AudioReader) -> Iterator[Tensor]:
    """A stream's samples, all of them: a song to train on is not decoded as far as it goes."""
    received = 0
    for block in reader.blocks(BLOCK_SAMPLES):
        received += block.shape[-1]
        yield block
    damage = reader.damage
    if damage is None and received < (reader.frames or 0):
        damage = f"its header tells of {reader.frames} samples, {received} are there"
    if damage:
        raise UserError(f"it is damaged ({damage}): get it again")
