"""What the wheel depends on, read from the requirements files, so that there is one list of packages.

There every package is pinned to the version that was tested. Who installs the wheel has other packages beside it, so
there a pin becomes the least version, up to the next major one; or the range that its comment tells: ``(wheel: …)``.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

EXTRAS = ("app", "cluster", "dev", "export", "live", "metrics", "wandb")
_PIN = re.compile(r"(?P<name>[\w-]+)==(?P<least>\d+\.\d+)[\w.]*\s*(#.*?(\(wheel: (?P<range>[^)]+)\))?\s*)?$")


class RequirementsHook(MetadataHookInterface):
    """Fills in ``dependencies`` and ``optional-dependencies``."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        root = Path(self.root)
        core = list(requirements(root / "requirements.txt"))
        metadata["dependencies"] = core
        metadata["optional-dependencies"] = {
            extra: [one for one in requirements(root / f"requirements-{extra}.txt") if one not in core]
            for extra in EXTRAS
        }


def requirements(file: Path) -> Iterator[str]:
    """The packages of a file, and of the files that it names with ``-r``, as the wheel asks for them.

    Raises:
        ValueError: a line is neither a pin nor ``-r``.
    """
    for line in file.read_text(encoding="utf-8").splitlines():
        if named := re.match(r"-r (\S+)", line):
            yield from requirements(file.with_name(named[1]))
        elif pin := _PIN.match(line):
            yield pin["name"] + (pin["range"] or f"~={pin['least']}")
        elif line and not line.startswith("#"):
            raise ValueError(f"{file.name}: `{line}` is neither NAME==VERSION nor -r FILE")
