"""Slakh2100 (Manilow et al. 2019), as ethman/slakh-utils on GitHub describes it: synthesised, mono, without voices.

``{train,validation,test}/Track00001/metadata.yaml`` lists ``stems`` by number; ``S00`` lies in ``stems/S00.flac`` (or
``.wav``, as its own converter makes them), unless ``audio_rendered`` is false. What is played on a drum channel
(``is_drum``) is drums, otherwise the MIDI class ``inst_class`` is the instrument in lower case: bass, guitar, piano,
organ, strings, synth_lead, … The songs of ``validation`` belong to the subset train, are named ``validation/Track…``
and are validated on unless others are named.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from demixer.datasets.layouts.metadata import group, metadata_files, read_metadata
from demixer.datasets.splits import VALIDATION_FOLDER

METADATA = "metadata.yaml"


def find_slakh2100(root: Path, sources: Sequence[str], subset: str | None) -> Iterator[tuple[str, dict]]:
    """The songs."""
    held_out = metadata_files(root / VALIDATION_FOLDER, None, METADATA) if subset == "train" else ()
    named = ((VALIDATION_FOLDER + name, path) for name, path in held_out)
    for name, path in chain(metadata_files(root, subset, METADATA), named):
        values = read_metadata(path)
        folder = path.parent / values.get("audio_dir", "stems")
        rendered = {number: stem for number, stem in values["stems"].items() if stem.get("audio_rendered", True)}
        yield name, group([(_instrument(stem), _file(folder, number)) for number, stem in rendered.items()], sources)


def _instrument(stem: dict[str, Any]) -> str:
    name = "drums" if stem.get("is_drum") else str(stem["inst_class"])
    return name.lower().replace("(continued)", "").strip().replace(" ", "_")


def _file(folder: Path, number: str) -> Path:
    wav = folder / f"{number}.wav"
    return wav if wav.is_file() else wav.with_suffix(".flac")
