"""From songs to index files: decode what must be decoded, detect activity, write, and count."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demixer.data.activity import ActivityDetector, load_detector
from demixer.data.index import PARTS, Index, Segment, covered_samples, index_path, write_index
from demixer.datasets.layouts import FOLDERS, layout_of_each
from demixer.datasets.stem_files import decode_stem_files, find_stem_files
from demixer.datasets.tracks import Track, find_tracks, split_tracks
from demixer.errors import UserError
from demixer.progress import progress_bar
from demixer.sources import SOURCES


@dataclass(frozen=True)
class Summary:
    """What one index holds; ``share`` is the part of its songs' duration that lies in a salient segment."""

    target: str
    part: str
    songs: int
    salient_songs: int
    segments: int
    share: float


def prepare(
    input_dirs: Sequence[Path],
    output_dir: Path,
    targets: Sequence[str] | None = None,
    subset: str = "train",
    split: str | None = None,
    sad_cfg: str = "default",
    wav_dir: Path | None = None,
    layout: str | Sequence[str] = FOLDERS,
) -> None:
    """Write ``{output_dir}/{target}_{part}.txt`` for each target and part, and print what they hold.

    ``targets`` None: those of the four sources that the songs have.

    Raises:
        UserError: there are no songs, bad files, or a target of ``targets`` is in none of the songs.
    """
    detector = load_detector(sad_cfg)
    tracks = decoded_tracks(input_dirs, output_dir, targets or (), subset, wav_dir, layout)
    if targets is None:
        targets = [source for source in SOURCES if any(source in track.paths for track in tracks)]
        if missing := [source for source in SOURCES if source not in targets]:
            print(f"no song has {', '.join(missing)}: there is no index of it")
    parts = ("test",) if subset == "test" else (split,) if split else PARTS
    rows = index_targets(tracks, targets, parts, detector, output_dir)
    Console().print(summary_table(rows, f"indices in {output_dir}"))


def decoded_tracks(
    input_dirs: Sequence[Path],
    output_dir: Path,
    targets: Sequence[str],
    subset: str,
    wav_dir: Path | None = None,
    layout: str | Sequence[str] = FOLDERS,
) -> list[Track]:
    """The songs of some folders with the four sources and ``targets``; ``.stem.mp4`` files are decoded first."""
    layouts = layout_of_each(layout, input_dirs)
    roots = dict(zip(wav_folders(input_dirs, subset, output_dir, wav_dir), layouts, strict=True))
    return find_tracks(list(roots), tuple(dict.fromkeys((*SOURCES, *targets))), subset, list(roots.values()))


def wav_folders(roots: Sequence[Path], subset: str, output_dir: Path, wav_dir: Path | None = None) -> list[Path]:
    """The roots to read songs from: in place of one with ``.stem.mp4`` files, the folder that it is decoded to.

    That folder is ``wav_dir``, by default ``{output_dir}/{root's name}-wav``: two datasets never share one, since
    songs of the same name (MUSDB18 and its 7 s excerpts) would pass for each other.
    """
    folders: list[Path] = []
    for root in map(Path, roots):
        if not root.is_dir():
            raise UserError(f"dataset folder `{root}` does not exist")
        folder = root
        if files := find_stem_files(root, subset):
            folder = Path(wav_dir or output_dir / f"{root.resolve().name}-wav")
            new = decode_stem_files(files, folder, subset)
            print(
                f"{len(files)} songs of {root} as WAV in {folder} ({new} decoded now): set MUSDB_DIR to it from here on"
            )
        folders.append(folder)
    return folders


def index_targets(
    tracks: Sequence[Track], targets: Sequence[str], parts: Sequence[str], detector: ActivityDetector, folder: Path
) -> list[Summary]:
    """Write one index for each target and part (``train``, ``valid``: that split of the songs; ``test``: all).

    Raises:
        UserError: a target is in none of the songs.
    """
    for target in targets:
        if not any(target in track.paths for track in tracks):
            known = ", ".join(sorted({source for track in tracks for source in track.paths}))
            raise UserError(f"target `{target}` is in none of the {len(tracks)} songs; they have {known}")
    songs = {part: list(tracks) if part == "test" else split_tracks(tracks, part) for part in parts}
    rows: list[Summary] = []
    with progress_bar("songs") as bar:
        for target in targets:
            for part in parts:
                having = [track for track in songs[part] if target in track.paths]
                task = bar.add_task(f"{target} {part}", total=len(having))
                segments: list[Segment] = []
                for track in having:
                    segments += detector(track, target)
                    bar.advance(task)
                frames = {track.name: track.frames for track in having}
                write_index(index_path(folder, target, part), Index(segments, frames))
                rows.append(_summary(target, part, having, segments))
    return rows


def summary_table(rows: Sequence[Summary], title: str) -> Table:
    """The closing table: one line for each index."""
    table = Table(title=title)
    for name in ("target", "part"):
        table.add_column(name)
    for name in ("songs", "segments", "salient share of duration"):
        table.add_column(name, justify="right")
    for row in rows:
        songs = f"{row.salient_songs} of {row.songs}"
        table.add_row(row.target, row.part, songs, str(row.segments), f"{row.share:.1%}")
    return table


def _summary(target: str, part: str, tracks: Sequence[Track], segments: Sequence[Segment]) -> Summary:
    salient = len({segment.track for segment in segments})
    frames = sum(track.frames for track in tracks)
    return Summary(target, part, len(tracks), salient, len(segments), covered_samples(segments) / max(1, frames))
