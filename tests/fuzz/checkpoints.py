"""Checkpoints: each foreign layout and this project's own, spoilt as data, as a pickle, as settings and as bytes."""

import io
import zipfile
from functools import cached_property
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml
from safetensors.torch import save

from demixer import Separator
from demixer.model.building import build_network
from tests.foreign import Amanteur, Magron, amanteur_hparams, magron_checkpoint
from tests.fuzz.formats import Format
from tests.fuzz.mutations import mutated_bytes, mutated_tree
from tests.fuzz.single_changes import TENSOR_CHANGES, Published, changed_tensor, single_changes
from tests.song_files import TINY_HPARAMS

WIDTHS, FRAMES = [2, 3, 2, 26], 9
SAMPLES = 2_000


def checkpoint_formats() -> list[Format]:
    return [
        CheckpointFormat(name) for name in ("magron", "magron-simo", "amanteur", "crlandsc", "own-ckpt", "own-pt")
    ] + [SafetensorsFormat("safetensors")]


def published(name: str) -> Published:
    """A good checkpoint of a layout, with small random weights."""
    if name == "magron":
        return Published("vocals.ckpt", magron_checkpoint(Magron(WIDTHS), "vocals"))
    if name == "magron-simo":
        network = Magron(WIDTHS, targets=2, heads=2, tac="prelu")
        evaluation = {"segment_len": 6, "overlap": 0.5, "hop_size": None}
        return Published("separator.ckpt", magron_checkpoint(network, ["vocals", "bass"], cfg_eval=evaluation))
    if name in ("amanteur", "crlandsc"):
        state = Amanteur(WIDTHS, FRAMES, transposed=name == "amanteur").state_dict()
        audio = {"audio_params": {"win_size": 3, "hop_size": 0.5, "batch_size": 2, "window": None}}
        hparams = amanteur_hparams(**(audio if name == "amanteur" else {"test_dataset": {"target": "bass"}}))
        if name == "amanteur":
            return Published("vocals.pt", dict(state), hparams)
        return Published("bass.ckpt", {"state_dict": {f"model.{k}": v for k, v in state.items()}, "epoch": 3}, hparams)
    torch.manual_seed(0)
    state = build_network(TINY_HPARAMS).state_dict()
    if name == "own-ckpt":
        state = {f"network.{key}": value for key, value in state.items()}
        optimiser = [{"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(4)}}}]
        return Published("last.ckpt", {"state_dict": state, "epoch": 1, "optimizer_states": optimiser}, TINY_HPARAMS)
    return Published("weights.pt", dict(state), TINY_HPARAMS)


def write_published(case: Published, folder: Path) -> Path:
    """The checkpoint's file, and its settings beside it."""
    torch.save(case.content, folder / case.file)
    write_hparams(folder, case.hparams)
    return folder / case.file


def write_hparams(folder: Path, hparams: Any) -> None:
    if hparams is not None:
        (folder / "hparams.yaml").write_text(yaml.safe_dump(hparams), encoding="utf-8", errors="surrogatepass")


def load_and_separate(path: Path) -> str:
    """Load a model and let it separate a moment of noise."""
    separator = Separator.from_pretrained(path, device="cpu", precision="fp32")
    stems = separator(torch.rand(2, SAMPLES, generator=torch.Generator().manual_seed(0)) - 0.5)
    assert all(stem.shape == (2, SAMPLES) for stem in stems.values())
    return ""


class CheckpointFormat(Format):
    """Checkpoints that torch.save writes."""

    @cached_property
    def good(self) -> Published:
        return published(self.name)

    @cached_property
    def file(self) -> bytes:
        stream = io.BytesIO()
        torch.save(self.good.content, stream)
        return stream.getvalue()

    @cached_property
    def changes(self) -> int:
        return sum(1 for _ in single_changes(self.good))

    def write(self, folder: Path, random: Random) -> Path:
        kind = random.choice(("single", "tensors", "pickle", "bytes", "hparams"))
        if kind == "single":
            return write_published(self.changed(random.randrange(self.changes)), folder)
        if kind == "tensors":
            keys = list(self.good.state_dict)
            return write_published(
                changed_tensor(self.good, random.choice(keys), random.choice(list(TENSOR_CHANGES))), folder
            )
        if kind == "hparams" and self.good.hparams is not None:
            hparams = mutated_tree(self.good.hparams, random)
            return write_published(Published(self.good.file, self.good.content, hparams), folder)
        path = folder / self.good.file
        path.write_bytes(
            with_spoilt_pickle(self.file, random) if kind == "pickle" else mutated_bytes(self.file, random)
        )
        write_hparams(folder, self.good.hparams)
        return path

    def changed(self, number: int) -> Published:
        return next(islice(single_changes(self.good), number, None))[1]

    def use(self, path: Path) -> str:
        return load_and_separate(path)


def with_spoilt_pickle(file: bytes, random: Random) -> bytes:
    """The same archive with faults in ``data.pkl`` alone, under a sum that is right."""
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(file)) as old, zipfile.ZipFile(stream, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(entry.filename, mutated_bytes(data, random) if entry.filename.endswith("data.pkl") else data)
    return stream.getvalue()


class SingleChanges(Format):
    """Every single change of a checkpoint of one layout, in order."""

    def __init__(self, layout: CheckpointFormat) -> None:
        super().__init__(f"{layout.name}, single changes")
        self.layout = layout

    def write_case(self, folder: Path, seed: int) -> Path:
        return write_published(self.layout.changed(seed), folder)

    def write(self, folder: Path, random: Random) -> Path:
        return self.write_case(folder, random.randrange(self.layout.changes))

    def use(self, path: Path) -> str:
        return self.layout.use(path)


class SafetensorsFormat(CheckpointFormat):
    """This project's saved models."""

    @cached_property
    def good(self) -> Published:
        model = published("own-pt")
        return Published("weights.safetensors", model.content, model.hparams)

    @cached_property
    def file(self) -> bytes:
        return save(self.good.content)

    def write(self, folder: Path, random: Random) -> Path:
        kind, content, hparams = random.choice(("tensors", "bytes", "bytes", "hparams")), self.file, self.good.hparams
        if kind == "tensors":
            key, change = random.choice(list(self.good.state_dict)), random.choice(list(TENSOR_CHANGES))
            state = changed_tensor(self.good, key, change).state_dict
            kept = {k: v.contiguous() for k, v in state.items() if isinstance(v, torch.Tensor) and v.numel() < 1e6}
            content = save(kept)
        elif kind == "bytes":
            content = mutated_bytes(content, random)
        else:
            hparams = mutated_tree(hparams, random)
        write_hparams(folder, hparams)
        (folder / self.good.file).write_bytes(content)
        return folder
