"""What a first run says, once: that there is a better model than the one that is shipped."""

import logging

from demixer.checkpoints.registry import read_registry
from demixer.paths import downloads_dir

log = logging.getLogger(__name__)
BEST = "best"
_MARK = ".told-of-best"


def tell_of_best() -> None:
    """Say that ``-c best`` exists, unless it was said before or is here; a mark beside the downloaded models remembers.

    Where the mark cannot be written nothing is said: it would be said on every run.
    """
    mark = downloads_dir() / _MARK
    if mark.exists():
        return
    registry = read_registry()
    best = registry.names[BEST].model
    if mark.with_name(best).exists():
        return
    try:
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    except OSError:
        return
    log.warning(
        "this is the small model that came along; `-c best` has higher published scores and is downloaded once, %s "
        "(all: demix --list-models; this is said once)",
        registry.models[best].size,
    )
