"""MedleyDB (Bittner et al. 2014), as marl/medleydb on GitHub describes it.

``{Artist_Title}/{Artist_Title}_METADATA.yaml`` lists ``stems`` by number, each with its ``filename`` in the folder
``stem_dir`` and its ``instrument``. Songs with ``has_bleed: yes`` are left out and counted in a line: their stems hold
each other's sound. The mastered mixture is no sum of the stems and is not read. MUSDB18 holds songs of MedleyDB, in
its test half as well (sigsep.github.io/datasets/musdb.html): :mod:`demixer.datasets.twins` keeps them apart where both
are given.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from demixer.datasets.layouts.metadata import OTHER, group, metadata_files, read_metadata

# The instruments (medleydb's taxonomy) that belong to a target; all others are "other". As in MUSDB18, which took its
# songs from here, percussion without a pitch is drums.
INSTRUMENTS = {
    "vocals": "male singer, female singer, vocalists, choir, male rapper, female rapper, beatboxing, male speaker, "
    "female speaker, male screamer, female screamer",
    "drums": "drum set, drum machine, kick drum, snare drum, bass drum, toms, cymbal, high hat, auxiliary percussion, "
    "tambourine, shaker, maracas, cabasa, guiro, cowbell, triangle, castanet, claps, snaps, rattle, sleigh bells, "
    "gong, bongo, conga, darbuka, doumbek, tabla",
    "bass": "electric bass, double bass",
    "guitar": "acoustic guitar, clean electric guitar, distorted electric guitar, lap steel guitar, slide guitar",
    "piano": "piano, tack piano, electric piano",
}
TARGET_OF = {one.strip(): target for target, names in INSTRUMENTS.items() for one in names.split(",")}

log = logging.getLogger(__name__)


def find_medleydb(root: Path, sources: Sequence[str], subset: str | None) -> Iterator[tuple[str, dict]]:
    """The songs; no subset is published, so that a folder not named ``test`` is all of ``train``."""
    bleeding = 0
    for name, path in metadata_files(root, subset, "_METADATA.yaml"):
        values = read_metadata(path)
        if values.get("has_bleed") in ("yes", True):
            bleeding += 1
            continue
        folder = path.parent / values["stem_dir"]
        yield name, group([(_target(stem), folder / stem["filename"]) for stem in values["stems"].values()], sources)
    if bleeding:
        log.warning("%d song(s) of `%s` are left out: their stems bleed into each other (`has_bleed`)", bleeding, root)


def _target(stem: dict[str, Any]) -> str:
    instruments = stem["instrument"] if isinstance(stem["instrument"], list) else [stem["instrument"]]
    targets = {TARGET_OF.get(str(one).lower(), OTHER) for one in instruments}
    return targets.pop() if len(targets) == 1 else OTHER
