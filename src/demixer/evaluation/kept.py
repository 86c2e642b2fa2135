"""What has been measured, song by song: an evaluation that is killed goes on, and several processes share one."""

import json
import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from demixer.evaluation.results import score_of_row
from demixer.evaluation.scores import Score
from demixer.temporary import atomic_path

DESCRIPTION = "about.json"


class KeptScores:
    """A folder with the scores of each song, until the evaluation is whole.

    Args:
        folder: is made when something is kept.
        about: what the scores are of; those of anything else are thrown away by :meth:`begin`.
    """

    def __init__(self, folder: Path, about: Mapping[str, Any]) -> None:
        self.folder, self.about = folder, json.loads(json.dumps(about))

    def begin(self) -> None:
        """Keep what is here of the same evaluation; clear away the rest."""
        description = self.folder / DESCRIPTION
        try:
            same = json.loads(description.read_text(encoding="utf-8")) == self.about
        except (OSError, ValueError):
            same = False
        if not same:
            shutil.rmtree(self.folder, ignore_errors=True)
            with atomic_path(description) as temporary:
                temporary.write_text(json.dumps(self.about), encoding="utf-8")

    def keep(self, song: str, scores: list[Score]) -> None:
        """Write down the scores of a song; none where it has no true source of any target."""
        with atomic_path(self._file(song)) as temporary:
            temporary.write_text(json.dumps([score.row() for score in scores]), encoding="utf-8")

    def of(self, song: str) -> list[Score] | None:
        """The scores of a song, exactly as they were kept; None where it was not measured."""
        try:
            rows = json.loads(self._file(song).read_text(encoding="utf-8"))
        except OSError:
            return None
        return [score_of_row(row) for row in rows]

    def forget(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, song: str) -> Path:
        return self.folder / f"{sha256(song.encode()).hexdigest()[:24]}.json"
