"""The README's commands, with small songs, networks and runs in the place of its examples.

What needs a browser, a server, several processes or a long time is executed by a test of its own, which is named where
it is left out here. Commands for clusters (srun, torchrun over nodes, SLURM) are only composed: there is none here.
"""

import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch
from omegaconf import OmegaConf
from tiny_runs import composed, tiny_run

from model.separation_network import build_network
from utils.checkpoints import write_hparams, write_weights
from utils.paths import PROJECT_DIR, SRC_DIR
from utils.runs import model_hparams

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.split("  #")[0].split(" # ")[0].strip()
    for block in BLOCK.findall((PROJECT_DIR / "README.md").read_text())
    for line in block.replace("\\\n", " ").splitlines()
    if line.strip()
]
SCRIPTS = [command for command in COMMANDS if re.match(r"(torchrun .*|python) (src/)?(?!train\.py)\w+\.py", command)]
TRAININGS = [command for command in COMMANDS if "train.py" in command]
MAKES = [command for command in COMMANDS if command.startswith("make ")]
# these prepare a shell, or only show what others wrote
ELSEWHERE = {"source .venv/bin/activate", "cd src", "export MUSDB_DIR=/data/musdb18hq", "tensorboard --logdir logs"}
ELSEWHERE |= {command for command in COMMANDS if command.startswith("pip install -r ")}


def test_no_command_is_left_out() -> None:
    assert set(COMMANDS) == {*SCRIPTS, *TRAININGS, *MAKES, *ELSEWHERE}
    assert len(SCRIPTS) > 10
    assert len(TRAININGS) > 8


@pytest.mark.parametrize("command", MAKES)
def test_make_knows_its_targets(command: str) -> None:
    done = subprocess.run([*command.split(), "-n"], cwd=PROJECT_DIR, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def world(tmp_path: Path, comb_musdb: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in which the files and folders that the README's examples name exist, all of them small."""
    song = tmp_path / "song.wav"
    soundfile.write(song, 0.1 * torch.randn(8000, 2).numpy(), 16000)
    for name in ("song.mp3", "song.flac", "albums/a.flac", "catalogue/b.flac"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        samples, rate_hz = soundfile.read(song)
        soundfile.write(tmp_path / name, samples, rate_hz)
    song.unlink()
    for name in ("RUN_DIR", "IN", "simo-bsrnn-opt", "logs/bandsplitrnn/2026-01-31_12-00-00", "musdb18-7s"):
        hparams = model_hparams(composed(tmp_path, "target=all", "model.features=4", "model.repeats=1"))
        write_hparams(tmp_path / name, hparams)
        write_weights(tmp_path / name / "weights.safetensors", build_network(hparams).state_dict())
    for name in ("SONGS", "MORE_SONGS"):
        for folder in sorted((comb_musdb / "train").iterdir())[:2]:
            target = tmp_path / name / "train" / f"{name} {folder.name}"
            shutil.copytree(folder, target)
            for source in ("guitar", "piano"):
                shutil.copy(folder / "other.wav", target / f"{source}.wav")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSDB_DIR", str(comb_musdb))
    return tmp_path


@pytest.mark.parametrize("command", SCRIPTS)
def test_script_commands(command: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command)
    script = next(i for i, word in enumerate(words) if word.endswith(".py"))
    name, arguments = Path(words[script]).name, words[script + 1 :]
    if name == "app.py" or arguments == ["simo-bsrnn-opt"]:
        pytest.skip(
            "runs in test_app_browser.py and test_download_model.py, against a browser and a server of their own"
        )
    if name == "prepare_dataset.py" and "-o" not in arguments:
        arguments += ["-o", str(world / "files")]
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SRC_DIR / name), run_name="__main__")
    assert ended.value.code in (0, None)


@pytest.mark.parametrize("command", TRAININGS)
def test_training_commands(command: str, world: Path, comb_musdb: Path) -> None:
    words = shlex.split(command)
    overrides = words[words.index("train.py") + 1 :]
    multirun = "-m" in overrides
    given = [
        re.sub(r"=vocals,.*", "=vocals", word)
        for word in overrides
        if word != "-m" and not word.startswith(("ckpt_path", "hydra", "trainer.devices", "trainer.num_nodes"))
    ]
    given = [word.replace("FOLDER", str(world / "albums")).replace("RUN_DIR", str(world / "RUN_DIR")) for word in given]
    if multirun or "trainer=ddp" in given:  # really run in test_multirun.py and test_train.py
        OmegaConf.resolve(composed(world / "run", "data.roots=[SONGS]", *given))
        return
    if "experiment=semi_supervised" in given:
        given = [word for word in given if not word.startswith("target=")] + ["target=all"]
    small = ["trainer.max_epochs=1", "data.samples_per_epoch=2", "data.batch_size=2", "+trainer.limit_val_batches=1"]
    if not any(word.startswith("data.roots") for word in given):
        small.append(f"data.roots=[{comb_musdb}]")
    metrics = tiny_run(world / "run", *small, *given, "model.features=8", "model.repeats=1")
    assert torch.isfinite(metrics["val/usdr"])
