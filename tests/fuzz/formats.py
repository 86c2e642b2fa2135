"""What is fuzzed: for each format, good files, how they are spoilt, and what a user does with them."""

from abc import ABC, abstractmethod
from functools import cache
from pathlib import Path
from random import Random


class Format(ABC):
    """One format.

    Args:
        name: of the format.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def write_case(self, folder: Path, seed: int) -> Path:
        """Write the spoilt file of that number."""
        return self.write(folder, Random(f"{self.name}:{seed}"))

    @abstractmethod
    def write(self, folder: Path, random: Random) -> Path:
        """Write a spoilt file, or a folder with one, and return what a user would name."""

    @abstractmethod
    def use(self, path: Path) -> str:
        """Do with it what a user would; returns a remark, if there is one."""


@cache
def formats() -> dict[str, Format]:
    """All formats by name, and every single change of each checkpoint, one by one."""
    from tests.fuzz.archives import ArchiveFormat
    from tests.fuzz.audio import audio_formats
    from tests.fuzz.checkpoints import FOREIGN, SingleChanges, checkpoint_formats
    from tests.fuzz.texts import text_formats

    all_formats = [*audio_formats(), *checkpoint_formats(), *text_formats(), ArchiveFormat()]
    single = [SingleChanges(one) for one in checkpoint_formats()[: len(FOREIGN)]]
    return {one.name: one for one in [*all_formats, *single]}
