"""Where the crops of a training set come from: one pool for each source, and one for songs as they are."""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demixer.data.pools import MixedPool, Pool, coherent, salient_segments, whole_songs
from demixer.data.stems import Stems
from demixer.datasets.track_files import Track

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Drawing:
    """How crops are drawn.

    Args:
        index_dir: The index that is followed; None: any position, in proportion to duration.
        root_weights: See :func:`demixer.data.pools.pool_of`.
    """

    index_dir: Path | None = None
    root_weights: Sequence[float] | None = None

    def pools(
        self, stems: Stems, sources: Sequence[str], wanted: Collection[str], tracks: Sequence[Track]
    ) -> dict[str, Pool]:
        """A pool for each source; those that nothing is found of are told and left out, unless they are ``wanted``.

        Args:
            stems: The training songs.
            sources: What is mixed.
            wanted: What cannot be left out.
            tracks: All songs, also those for validation, which the index names as well.
        """
        pools = {source: self._pool(stems, source, {track.name: track for track in tracks}) for source in sources}
        missing = [source for source, pool in pools.items() if not pool.segments and source not in wanted]
        if missing:
            log.warning("no training song has %s: nothing of the kind is mixed around the target", ", ".join(missing))
        return {source: pool for source, pool in pools.items() if source not in missing}

    def coherent_pool(self, stems: Stems, pools: Mapping[str, Pool], targets: Sequence[str]) -> Pool:
        """Where songs are heard as they are: with the index, where a target sounds, each target as often."""
        if self.index_dir is None:
            return coherent(whole_songs(stems), stems, tuple(pools), self.root_weights, by_duration=True)
        of_each = [coherent(pools[target], stems, tuple(pools), self.root_weights) for target in targets]
        return MixedPool(of_each, [1.0] * len(targets))

    def _pool(self, stems: Stems, source: str, tracks: Mapping[str, Track]) -> Pool:
        if self.index_dir is None:
            return whole_songs(stems, source, self.root_weights)
        return salient_segments(stems, source, self.index_dir, tracks, self.root_weights)
