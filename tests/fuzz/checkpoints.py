"""Checkpoints: each foreign layout and this project's own, spoilt as data, as a pickle, as settings and as bytes."""

import io
import zipfile
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from random import Random

import torch
import yaml
from safetensors.torch import save

from demixer import Separator
from demixer.model.building import build_network
from tests.foreign import Amanteur, Magron, amanteur_hparams, magron_checkpoint
from tests.foreign_roformer import msst_settings, msst_state
from tests.fuzz.formats import Format
from tests.fuzz.mutations import mutated_bytes, mutated_tree
from tests.fuzz.single_changes import TENSOR_CHANGES, Published, changed_tensor, single_changes
from tests.song_files import TINY_HPARAMS

WIDTHS, FRAMES = [2, 3, 2, 26], 9
SAMPLES = 2_000


FOREIGN = ("magron", "magron-simo", "amanteur", "crlandsc", "msst", "msst-mel")


def checkpoint_formats() -> list[Format]:
    torch_files = [CheckpointFormat(name) for name in (*FOREIGN, "own-ckpt", "own-pt")]
    return [*torch_files, SafetensorsFormat("safetensors", "own-pt"), SafetensorsFormat("msst-safetensors", "msst")]


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
    if name in ("msst", "msst-mel"):
        mel = name == "msst-mel"
        state = msst_state(mel)
        content = {"state_dict": state, "epoch": 3, "optimizer": {"lr": 1e-5}} if mel else state
        return Published("vocals.ckpt", content, msst_settings(mel), "config_vocals.yaml")
    hparams = own_hparams(name.removeprefix("own-"))
    torch.manual_seed(0)
    state = build_network(hparams).state_dict()
    if name == "own-ckpt":
        state = {f"network.{key}": value for key, value in state.items()}
        optimiser = [{"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(4)}}}]
        return Published("last.ckpt", {"state_dict": state, "epoch": 1, "optimizer_states": optimiser}, hparams)
    return Published("weights.pt", dict(state), hparams)


def own_hparams(name: str) -> dict:
    """The settings of a tiny network of this project, an RNN's unless the name is another architecture's."""
    if name not in ("bs-roformer", "mel-band-roformer"):
        return TINY_HPARAMS
    model = TINY_HPARAMS["model"] | {"architecture": name.replace("-", "_"), "heads": 2, "head_width": 4, "skip": True}
    if name == "bs-roformer":
        return TINY_HPARAMS | {"model": model | {"linear_depth": 1, "zero_dc": True, "biases": True}}
    newer = {"positions": "pope", "value_residuals": "lerp", "streams": 2, "fractions": 2, "sinkhorn_iterations": 1}
    return TINY_HPARAMS | {"model": model | newer | {"repeats": 2, "mel_bands": 9, "dropout": 0.1}}


def write_published(case: Published, folder: Path) -> Path:
    """The checkpoint's file, and its settings beside it."""
    torch.save(case.content, folder / case.file)
    write_settings(folder, case)
    return folder / case.file


def write_settings(folder: Path, case: Published) -> None:
    if case.hparams is not None:
        text = yaml.safe_dump(case.hparams)
        (folder / case.settings).write_text(text, encoding="utf-8", errors="surrogatepass")


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
            return write_published(replace(self.good, hparams=hparams), folder)
        path = folder / self.good.file
        path.write_bytes(
            with_spoilt_pickle(self.file, random) if kind == "pickle" else mutated_bytes(self.file, random)
        )
        write_settings(folder, self.good)
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
    """This project's saved models, and what others publish as safetensors."""

    def __init__(self, name: str, layout: str) -> None:
        super().__init__(name)
        self.layout = layout

    @cached_property
    def good(self) -> Published:
        model = published(self.layout)
        return replace(model, file="weights.safetensors" if self.layout == "own-pt" else "vocals.safetensors")

    @cached_property
    def file(self) -> bytes:
        return save(self.good.content)

    def write(self, folder: Path, random: Random) -> Path:
        kind, content, case = random.choice(("tensors", "bytes", "bytes", "hparams")), self.file, self.good
        if kind == "tensors":
            key, change = random.choice(list(case.state_dict)), random.choice(list(TENSOR_CHANGES))
            state = changed_tensor(case, key, change).state_dict
            kept = {k: v.contiguous() for k, v in state.items() if isinstance(v, torch.Tensor) and v.numel() < 1e6}
            content = save(kept)
        elif kind == "bytes":
            content = mutated_bytes(content, random)
        else:
            case = replace(case, hparams=mutated_tree(case.hparams, random))
        write_settings(folder, case)
        (folder / case.file).write_bytes(content)
        return folder
