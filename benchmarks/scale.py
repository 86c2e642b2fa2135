"""A data set of full size: ``python benchmarks/scale.py`` (``MUSDB_DIR``: songs in WAV files, such as the excerpts).

Builds songs of some minutes by joining the songs of ``MUSDB_DIR`` one after the other (100 of four minutes: 17 GB in
``--folder``, made once and kept), then does with them what one does with a data set: prepare it, train some hundred
steps with two workers from disk, validate, evaluate. For each: minutes, and the peak memory of the largest process. At
last, what the loader offers, against what a GPU would eat with the paper's network.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import soundfile
from measured_songs import measured_songs
from rich.console import Console
from rich.table import Table

PROJECT_DIR = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT_DIR / "src"))

from flops import count_flops

from demixer.datasets.splits import MUSDB_VALIDATION_SONGS
from demixer.datasets.track_files import Track
from demixer.errors import run
from demixer.sources import SOURCES
from demixer.temporary import atomic_folder

GPU_FLOPS = 60e12  # what a good GPU reaches with such networks in bf16
EVALUATED = 10
CHILD = """
import json, resource, subprocess, sys, time
begin = time.perf_counter()
code = subprocess.run(sys.argv[1:]).returncode
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print("measured", json.dumps([time.perf_counter() - begin, peak * 1024 / 1e6, code]))
"""


def build(root: Path, excerpts: Sequence[Track], songs: int, minutes: float) -> None:
    """Write ``root/train/{song}/{source}.wav``, and the last few again as ``root/test``; goes on where it stopped."""
    names = [*sorted(MUSDB_VALIDATION_SONGS), *(f"Song {i:03d}" for i in range(songs))][:songs]
    for name in names:
        if not (folder := root / "train" / name).is_dir():
            order = random.Random(name).sample(excerpts, len(excerpts))
            folder.parent.mkdir(parents=True, exist_ok=True)
            with atomic_folder(folder) as hidden:
                for source in ("mixture", *SOURCES):
                    join([track.paths[source][0] for track in order], hidden / f"{source}.wav", minutes)
    (root / "test").mkdir(exist_ok=True)
    for name in names[-EVALUATED:]:
        if not (link := root / "test" / name).exists():
            link.symlink_to(root.resolve() / "train" / name)


def join(files: Sequence[Path], output: Path, minutes: float) -> None:
    """Write files one after the other, over and over, until the time is filled."""
    rate_hz = soundfile.info(str(files[0])).samplerate
    left = round(60 * minutes * rate_hz)
    with soundfile.SoundFile(str(output), "w", rate_hz, 2, "PCM_16") as joined:
        while left > 0:
            for file in files:
                samples = soundfile.read(str(file), dtype="int16")[0][:left]
                joined.write(samples)
                left -= len(samples)


def measured(*command: str) -> tuple[float, float]:
    """Seconds and peak megabytes (of its largest process) of a script of ``src/``."""
    script, *arguments = command
    child = [sys.executable, "-c", CHILD, sys.executable, str(PROJECT_DIR / "src" / script), *arguments]
    done = subprocess.run(child, capture_output=True, text=True)
    seconds, megabytes, code = json.loads(done.stdout.rpartition("measured ")[2])
    if code:
        sys.exit(f"{script} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return seconds, megabytes


def stages(root: Path, folder: Path, overrides: Sequence[str]) -> Table:
    """What one does with a data set, one after the other."""
    table = Table("what", "minutes", "peak MB", title=f"{root}: {len(list((root / 'train').iterdir()))} songs")
    files, run_dir = folder / "files", folder / f"run-{time.time():.0f}"
    training = [
        *(f"data.roots=[{root}]", f"data.index_dir={files}", "data.num_workers=2", "trainer.max_steps=300"),
        *("data.samples_per_epoch=600", "callbacks.listen.songs=0", f"hydra.run.dir={run_dir}", *overrides),
    ]
    commands = {
        "prepare_dataset.py, four targets": ["prepare_dataset.py", "-i", str(root), "-o", str(files)],
        "300 steps without validation": ["train.py", *training, "+trainer.limit_val_batches=0"],
        "300 steps and the validation of 14 songs": ["train.py", *training, f"hydra.run.dir={run_dir}-validated"],
        f"evaluate.py, {EVALUATED} songs": ["evaluate.py", "-d", f"{run_dir}-validated", "-i", str(root)],
    }
    for what, command in commands.items():
        seconds, megabytes = measured(*command)
        print(f"{what}: {seconds / 60:.1f} minutes, {megabytes:.0f} MB", file=sys.stderr, flush=True)
        table.add_row(what, f"{seconds / 60:.1f}", f"{megabytes:.0f}")
    return table


def loader(root: Path, folder: Path, most: int) -> Table:
    """Crops a second from disk, over those that the paper's network eats on the GPU."""
    import torch
    from training import composed

    from demixer.model.building import build_network
    from demixer.training.config import build as instantiated
    from demixer.training.runs import model_hparams

    network = build_network(model_hparams(composed("model=bandsplitrnn")))
    crop = torch.zeros(1, 2, 3 * network.sample_rate_hz)
    with torch.inference_mode():
        appetite = GPU_FLOPS / (3 * count_flops(network, lambda: network(crop)))
    title = f"the paper's network eats {appetite:.1f} crops/s at {GPU_FLOPS / 1e12:.0f} TFLOP/s"
    table = Table("workers", "augmentations", "crops/s", "of that appetite", title=title)
    for augmentations in ("paper", "strong"):
        for workers in (0, 2):
            where = [f"data.roots=[{root}]", f"data.index_dir={folder / 'files'}", "data.sad=true", "data.batch_size=4"]
            cfg = composed(*where, f"augmentations={augmentations}", f"data.num_workers={workers}")
            datamodule = instantiated(cfg.data)
            datamodule.setup("fit")
            batches = iter(datamodule.train_dataloader())
            next(batches)
            begin = time.perf_counter()
            crops = sum(len(datamodule.on_after_batch_transfer(batch, 0)["mixture"]) for batch in islice(batches, most))
            offered = crops / (time.perf_counter() - begin)
            table.add_row(str(workers), augmentations, f"{offered:.0f}", f"{offered / appetite:.1f} ×")
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", help="of conf/, for training: model=bandsplitrnn_small …")
    parser.add_argument("--folder", type=Path, required=True, help="where the songs are kept, and runs are made")
    parser.add_argument("--songs", type=int, default=100)
    parser.add_argument("--minutes", type=float, default=4.0, help="of each song")
    parser.add_argument("--batches", type=int, default=50, help="that the loader is timed over (default: %(default)s)")
    args = parser.parse_args()
    root, console = args.folder / "musdb", Console(width=120)
    excerpts = measured_songs(SOURCES, split="train")
    build(root, excerpts, args.songs, args.minutes)
    console.print(stages(root, args.folder, args.overrides))
    console.print(loader(root, args.folder, args.batches))


if __name__ == "__main__":
    run(main)
