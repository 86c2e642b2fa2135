"""More music to train on, made here: ``python benchmarks/synthetic_songs.py OUT_DIR --minutes 120``.

Few songs exist as stems, and of bass and "other" there is least. So songs are composed at random (genre, key, tempo,
form, chords), arranged by MMA's grooves (Musical MIDI Accompaniment) and by lines of our own, played by FluidSynth with
sampled instruments, and sent through amplifiers, rooms and compressors. Their stems are in time and in key with each
other, as in a real song, and as Slakh2100's; they have no vocals.

Writes ``OUT_DIR/train/synthetic SEED NUMBER/{drums,bass,other}.wav``: 44.1 kHz, stereo, 16 bit, one to two minutes, at
levels drawn as MUSDB18's are; a stem that nothing plays is left out. ``song.json`` beside them holds genre, tempo in
bpm, key and sections. Song NUMBER of a SEED is always the same, whatever ``--minutes``; songs that are there are kept,
and each appears when it is complete. Train with it as one of several roots (README, "Other data").

Needs ``apt-get install mma fluidsynth fluid-soundfont-gm musescore-general-soundfont avldrums.lv2-soundfont
opl3-soundfont`` and mido (requirements-dev.txt). What they are under, by ``/usr/share/doc/PACKAGE/copyright``:

- FluidR3_GM: MIT. MuseScore_General: MIT, parts CC0 or public domain. Free for any use.
- Black Pearl and Red Zeppelin drum kits (avldrums.lv2, Glen MacArthur): CC BY-SA 3.0.
- OPL-3 FM 128M (Zandro Reveille): CC BY-SA 4.0. Both are free for any use, with the name and the same licence.
- MMA: GPL-2+, FluidSynth: LGPL-2.1+; programs, whose licences do not reach what they play.

``--permissive`` leaves the CC BY-SA sounds out, so that the songs are free of any condition but the MIT notice.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from random import Random

import soundfile
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from demixer.errors import UserError, end_on_signals, run
from demixer.progress import progress_bar
from demixer.separation.memory import keep_freed_memory
from demixer.temporary import atomic_folder, check_writable
from synthetic.arranging import record, write_song
from synthetic.composing import Song
from synthetic.fonts import PERMISSIVE, SHARE_ALIKE, Font, locate
from synthetic.harmony import NAMES
from synthetic.rendering import RATE_HZ

DESCRIPTION = "song.json"


def make_song(place: Path, seed: str, fonts: dict[Font, Path]) -> float:
    """Compose, play and write one song; its length in seconds.

    Args:
        place: its folder, which must not exist; it appears once all is written.
        seed: chooses the song.
        fonts: where they are.
    """
    random = Random(seed)
    with tempfile.TemporaryDirectory() as scratch, atomic_folder(place) as folder:
        song, parts = write_song(random, Path(scratch))
        stems = record(song, parts, fonts, Path(scratch), random)
        for source, stem in stems.items():
            soundfile.write(folder / f"{source}.wav", stem.T.numpy(), RATE_HZ, subtype="PCM_16")
        seconds = next(iter(stems.values())).shape[-1] / RATE_HZ
        (folder / DESCRIPTION).write_text(json.dumps(_described(song, seconds), indent=1) + "\n", encoding="utf-8")
    return seconds


def _described(song: Song, seconds: float) -> dict[str, object]:
    return {
        "genre": song.genre_name,
        "tempo_bpm": song.tempo_bpm,
        "key": f"{NAMES[song.tonic]} {song.scale}",
        "sections": [[section.kind, song.seconds(section.beats.start)] for section in song.sections],
        "seconds": seconds,
    }


def _length_seconds(place: Path) -> float:
    """Of a song that is there.

    Raises:
        UserError: the folder is none of ours.
    """
    try:
        return float(json.loads((place / DESCRIPTION).read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"`{place}` is no song of this program, or is damaged: remove it, or choose another folder"
        ) from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out_dir", type=Path, help="songs come into its folder `train`")
    parser.add_argument(
        "--minutes", type=float, default=120, help="of music, with what is there (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="another one: other songs (default: %(default)s)")
    parser.add_argument("--permissive", action="store_true", help="without the sounds under CC BY-SA")
    args = parser.parse_args()
    if not 0 < args.minutes < float("inf"):
        raise UserError(f"--minutes (={args.minutes}) must be above 0")
    fonts = locate(PERMISSIVE + (() if args.permissive else SHARE_ALIKE))
    check_writable(args.out_dir)
    torch.set_num_threads(1)
    keep_freed_memory()
    made = number = 0
    seconds = 0.0
    with progress_bar("minutes") as bar:
        task = bar.add_task("songs", total=round(args.minutes))
        while seconds < args.minutes * 60:
            name = f"synthetic {args.seed} {number:04d}"
            place = args.out_dir / "train" / name
            exists = place.exists()
            seconds += _length_seconds(place) if exists else make_song(place, name, fonts)
            made, number = made + (not exists), number + 1
            bar.update(task, completed=min(round(seconds / 60), round(args.minutes)))
    print(f"{number} songs, {seconds / 60:.1f} minutes, {made} of them new: {args.out_dir}")


if __name__ == "__main__":
    end_on_signals()
    run(main)
