"""MoisesDB 0.1 (Pereira et al. 2023, arXiv 2307.15913), as its own reader, moises-ai/moises-db on GitHub, finds it.

``{provider}/{song's uuid}/data.json`` lists ``stems``, each with a ``stemName`` and ``tracks`` of ``id`` and
``extension``, which lie in ``{stemName}/{id}.{extension}``. The eleven stem names are targets: vocals, drums and bass;
guitar, piano, percussion, bowed_strings, wind, other_keys, other_plucked and other, which are together the ``other`` of
its four stems (``mix_4_stems`` in moisesdb/defaults.py). Files of a song may have different lengths; where its reader
cuts within a stem and pads among stems, here all are padded. Songs are named ``{provider}/{uuid}``.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from demixer.datasets.layouts.metadata import group, metadata_files, read_metadata


def find_moisesdb(root: Path, sources: Sequence[str], subset: str | None) -> Iterator[tuple[str, dict]]:
    """The songs; no subset is published, so that a folder not named ``test`` is all of ``train``."""
    for name, path in metadata_files(root, subset, "data.json"):
        stems = read_metadata(path)["stems"]
        files = [
            (stem["stemName"], path.parent / stem["stemName"] / f"{track['id']}.{track['extension']}")
            for stem in stems
            for track in stem["tracks"]
        ]
        yield name, group(files, sources)
