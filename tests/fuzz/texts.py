"""Files of text: a model's settings, the registry of public models, and the index of a data set."""

import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import yaml
from rich.console import Console

from demixer.checkpoints.listing import names_table, registry_table
from demixer.checkpoints.registry import read_registry
from demixer.data.index import Index, Segment, covered_samples, read_index, write_index
from tests.fuzz.checkpoints import load_and_separate, published, write_published
from tests.fuzz.formats import Format
from tests.fuzz.mutations import mutated_bytes, mutated_tree

BOMB = "\n".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 9 if i else ['x'] * 9)}]" for i in range(12))
SNIPPETS = (
    *("[" * 5000, "{a: " * 400, "- " * 3000, "&a [*a]", "*a", "!!python/object/apply:os.system [ls]", "!!binary a"),
    *("9" * 5000, "0x" + "f" * 9000, "2020-13-45", "1:59:99", "? [a]", "<<: a", "!!int ''", "!!timestamp x", "\x00"),
    *(
        '"\\e[31mred"',
        "&a {<<: [*a, *a]}",
        "!!set {a, b}",
        "--- a\n--- b",
        "=",
        "!!float '.'",
        "\ufeff",
        "\udc80",
        BOMB,
    ),
)


OWN = ("own-pt", "own-bs-roformer", "own-mel-band-roformer", "amanteur", "crlandsc")


def text_formats() -> list[Format]:
    settings = [SettingsFormat("hparams.yaml", OWN), SettingsFormat("msst.yaml", ("msst", "msst-mel"))]
    return [*settings, RegistryFormat("registry.yaml"), IndexFormat("index")]


def spoilt_yaml(tree: Any, random: Random) -> bytes:
    """Faults in the data, in the text's bytes, or a snippet that no reader likes in place of a value."""
    kind = random.choice(("tree", "tree", "bytes", "snippet"))
    text = yaml.safe_dump(mutated_tree(tree, random) if kind == "tree" else tree, allow_unicode=True)
    if kind == "snippet":
        lines = text.splitlines()
        at = random.randrange(len(lines))
        snippet = random.choice(SNIPPETS)
        lines[at] = random.choice((snippet, f"{lines[at].partition(':')[0]}: {snippet}"))
        text = "\n".join(lines)
    content = text.encode("utf-8", "surrogatepass")
    return mutated_bytes(content, random) if kind == "bytes" else content


class SettingsFormat(Format):
    """The settings beside good weights."""

    def __init__(self, name: str, layouts: Sequence[str]) -> None:
        super().__init__(name)
        self.layouts = layouts

    @cached_property
    def good(self) -> list:
        return [published(name) for name in self.layouts]

    def write(self, folder: Path, random: Random) -> Path:
        model = random.choice(self.good)
        path = write_published(model, folder)
        (folder / model.settings).write_bytes(spoilt_yaml(model.hparams, random))
        return path

    def use(self, path: Path) -> str:
        return load_and_separate(path)


class RegistryFormat(Format):
    """``registry.yaml``."""

    good: ClassVar = {
        "names": {
            "fast": {"model": "one", "purpose": "a try"},
            "kit": {"model": "two", "purpose": "p", "stems": ["kick"]},
        },
        "sources": {"page": "the model's page"},
        "models": {
            name: {
                "about": "a model",
                "by": "somebody",
                "page": "https://example.org/page",
                "architecture": "bsrnn",
                "targets": ["kick", "bass"],
                "licence": "MIT",
                "scores_db": {"kick": 9.14, "bass": 7.72},
                "measured": "SDR by somebody",
                "verified": False,
                "read_in": {"files": "page", "scores": "page"},
                "files": [
                    {
                        "name": "x.ckpt",
                        "url": "https://example.org/x",
                        "bytes": 1000,
                        "md5": "0d1e298e725bf45577a4f61e",
                    },
                    {"name": "x.yaml", "url": "https://example.org/y", "bytes": 100},
                ],
            }
            for name in ("one", "two")
        },
    }

    def write(self, folder: Path, random: Random) -> Path:
        path = folder / "registry.yaml"
        path.write_bytes(spoilt_yaml(self.good, random))
        return path

    def use(self, path: Path) -> str:
        screen, registry = io.StringIO(), read_registry(path)
        Console(file=screen, width=200).print(names_table(registry), registry_table(registry))
        shown = screen.getvalue().replace("\n", "")
        assert shown.isprintable(), f"{shown!r} steers a terminal"
        return ""


class IndexFormat(Format):
    """``vocals_train.txt``."""

    @cached_property
    def good(self) -> bytes:
        segments = [Segment("Amber", 0, 264600), Segment("Amber", 132300, 396900), Segment("Bürge – Ü", 44100, 308700)]
        path = Path(self.name)
        write_index(path, Index(segments, {"Amber": 500_000, "Bürge – Ü": 400_000, "Silent": 300_000}))
        content = path.read_bytes()
        path.unlink()
        return content

    def write(self, folder: Path, random: Random) -> Path:
        path, lines = folder / "vocals_train.txt", self.good.decode().splitlines()
        if random.random() < 0.4:
            row = random.randrange(len(lines))
            fields = lines[row].split("\t")
            odd = ("", "-1", "1e3", "9" * 30, "9" * 5000, "x", "\x1b[31m", "0x10", "1_0", "٣", "nan", " 7 ", "\ufeff1")
            fields[random.randrange(len(fields))] = random.choice(odd)
            lines[row] = "\t".join(fields)
        content = "\n".join(lines).encode()
        path.write_bytes(content if random.random() < 0.3 else mutated_bytes(content, random))
        return path

    def use(self, path: Path) -> str:
        index = read_index(path)
        covered_samples(index.segments)
        assert all(0 <= segment.start < segment.end < 2**62 for segment in index.segments)
        return ""
