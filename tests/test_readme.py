"""Every command of the README is executed, with small songs, networks and runs in the place of its examples.

What begins like a command, in its blocks and in its prose, is sorted by ``KINDS``; each kind has a test that runs it.
There is no cluster here: the ``srun``, ``sbatch`` and ``sacct`` of ``CLUSTER`` start the processes on this machine and
tell them what SLURM would.
"""

import os
import re
import runpy
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import pytest
import soundfile
import torch
from live_stand_in import write_tiny_live_model
from packaging.requirements import Requirement
from song_files import free_port, write_tiny_model
from test_download_model import model_archive, register, server  # noqa: F401
from tiny_runs import TINY, begins_with_a_network, composed, tiny_run

from demixer.checkpoints.hparams import write_hparams
from demixer.checkpoints.registry import read_registry
from demixer.checkpoints.weights import write_weights
from demixer.live.guard import Guard
from demixer.live.soundcard import Card
from demixer.model.building import build_network
from demixer.paths import PROJECT_DIR, SRC_DIR
from demixer.training.runs import model_hparams
from hatch_build import EXTRAS

README = (PROJECT_DIR / "README.md").read_text()
ENTRY_POINTS = tomllib.loads((PROJECT_DIR / "pyproject.toml").read_text())["project"]["scripts"]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
IN_PROSE = re.compile(r"(?<!`)`((?:python|make|torchrun|srun|tensorboard|pip|demix-app)\s[^`]+)`")
# the first that fits is a command's kind
KINDS = {
    "shell": r"(source|cd|export) \S+$",
    "make": r"make [\w-]+$",
    "page": r"demix-app ",
    "tensorboard": r"tensorboard ",
    "pip": r"pip install -r ",
    "install": r"(pip install|pipx install|uvx) ",
    "download": r"demix-download \S+$",
    "pipe": r"(ffmpeg|parec) ",
    "card": r"demix-live ",
    "installed": r"demix(-\w+)?( |$)",
    "processes": r"srun |torchrun |python train\.py -m |python train\.py .*trainer=ddp",
    "training": r"python train\.py ",
    # which start processes, or change their own for good
    "child": r"python benchmarks/(memory|ablations|live_hours|scale|roformers)\.py\b",
    "script": r"python (src/|benchmarks/)?\w+\.py",
}


def commands(readme: str) -> list[str]:
    """What a reader may type: the lines of shell blocks, without comments, and the commands within sentences."""
    lines = [line for language, block in BLOCK.findall(readme) if language == "sh" for line in _lines(block)]
    prose = [" ".join(command.split()) for command in IN_PROSE.findall(BLOCK.sub("", readme))]
    return [*dict.fromkeys([*lines, *prose])]


def _lines(block: str) -> list[str]:
    lines = (re.split(r"\s#\s", line)[0] for line in block.replace("\\\n", " ").splitlines())
    return [" ".join(line.split()) for line in lines if line.strip()]


def kind(command: str) -> str | None:
    return next((name for name, pattern in KINDS.items() if re.match(pattern, command)), None)


def of(name: str) -> list[str]:
    return [command for command in commands(README) if kind(command) == name]


def test_every_command_is_of_a_kind_that_is_executed() -> None:
    kinds = {command: kind(command) for command in commands(README)}
    assert [command for command, name in kinds.items() if name is None] == []
    assert {*kinds.values()} == {*KINDS}
    assert len(kinds) > 40
    assert {language for language, _ in BLOCK.findall(README)} == {"sh", "python", "bibtex", ""}  # no other shell


def test_commands_are_found_wherever_they_stand() -> None:
    readme = "Type `make tea`, or `cd x`.\n```sh\na \\\n  -b  # why\n\nexport X=1\n```\nThen `python\ny.py -z`.\n"
    assert commands(readme) == ["a -b", "export X=1", "make tea", "python y.py -z"]
    assert [kind(command) for command in commands(readme)] == [None, "shell", "make", "script"]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory, comb_musdb: Path) -> Path:
    """A folder of the files and folders that the README's examples name, all of them small."""
    folder = tmp_path_factory.mktemp("named")
    song = folder / "song.wav"
    soundfile.write(song, 0.1 * torch.randn(8000, 2).numpy(), 16000)
    for name in ("song.mp3", "song.flac", "albums/a.flac", "catalogue/b.flac", "catalogue/c.flac"):
        (folder / name).parent.mkdir(exist_ok=True)
        samples, rate_hz = soundfile.read(song)
        soundfile.write(folder / name, samples, rate_hz)
    song.unlink()
    small = [word for word in TINY if word.startswith(("target", "featurizer"))]
    hparams = model_hparams(composed(folder, *small, "model.features=4", "model.repeats=1"))
    weights = build_network(hparams).state_dict()
    for name in ("RUN_DIR", "IN", "best", "kit", "logs/bandsplitrnn/2026-01-31_12-00-00", "musdb18-7s"):
        write_hparams(folder / name, hparams)
        write_weights(folder / name / "weights.safetensors", weights)
    write_tiny_live_model(folder / "live-46ms", hop_samples=1024)
    for name in ("SONGS", "MORE_SONGS"):
        for song in sorted((comb_musdb / "train").iterdir())[:2]:
            target = folder / name / "train" / f"{name} {song.name}"
            shutil.copytree(song, target)
            for source in ("guitar", "piano"):
                shutil.copy(song / "other.wav", target / f"{source}.wav")
    return folder


@pytest.fixture
def world(named: Path, comb_musdb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own with everything that the README's examples name."""
    shutil.copytree(named, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSDB_DIR", str(comb_musdb))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    return tmp_path


@pytest.mark.parametrize("command", of("script"))
def test_scripts(command: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, *arguments = shlex.split(command.replace("<date>_<time>", "2026-01-31_12-00-00"))[1:]
    if name == "prepare_dataset.py" and "-o" not in arguments:
        arguments += ["-o", str(world / "files")]
    script = PROJECT_DIR / name if "/" in name else SRC_DIR / name
    monkeypatch.setattr(sys, "argv", [name, *arguments])
    monkeypatch.setattr(sys, "path", [*sys.path])  # benchmarks add folders
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code in (0, None)


def exit_code_of(name: str) -> int | None:
    """Run an installed command with the arguments in ``sys.argv``."""
    module, function = ENTRY_POINTS[name].split(":")
    with pytest.raises(SystemExit) as ended:
        getattr(import_module(module), function)()
    return ended.value.code


@pytest.mark.parametrize("command", of("installed"))
def test_installed_commands(command: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", shlex.split(command.replace(" -d cuda", " -d cpu")))
    assert exit_code_of(sys.argv[0]) in (0, None)


PIPED_BYTES = 44_100 * 8
PLAYERS = {
    "ffmpeg": f"head -c {PIPED_BYTES} /dev/zero",
    "parec": f"head -c {PIPED_BYTES} /dev/zero",
    "demix-live": f'exec {sys.executable} {SRC_DIR / "live.py"} "$@"',
    "ffplay": "cat > played",
    "pacat": "cat > played",
}


@pytest.mark.parametrize("command", of("pipe"))
def test_pipes(command: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(world / "bin", {name: f"#!/bin/sh\n{script}" for name, script in PLAYERS.items()}, monkeypatch)
    run_together(f"set -o pipefail; {command}")
    assert (world / "played").stat().st_size == PIPED_BYTES


def install(folder: Path, scripts: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Put scripts where they are found first."""
    folder.mkdir()
    for name, script in scripts.items():
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)


@pytest.mark.parametrize("command", of("card"))
def test_sound_cards(command: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the devices, which are not there."""

    def play(card: Card, guard: Guard, *_: object) -> NoReturn:
        assert (card, guard.mix.channels_out) == (Card(2, "USB Audio"), 2)
        raise KeyboardInterrupt

    monkeypatch.setattr(Card, "play", play)
    monkeypatch.setattr("demixer.live.soundcard.devices", lambda: "0 a device")
    monkeypatch.setattr("demixer.live.playing.prepare_process", lambda threads: None)
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert exit_code_of("demix-live") == 0


@pytest.mark.parametrize("command", of("install"))
def test_installers(command: str) -> None:
    """What is named is there: the project, its extras, its commands, its pins. ``make wheel`` installs."""
    words = shlex.split(command)
    specification = next(word for word in words[words.index("--from") + 1 if "--from" in words else 2 :])
    extras = Requirement(re.sub(r"^\.", "music-demixer", specification)).extras
    assert extras <= {*EXTRAS}
    assert {word for word in words if word.startswith("demix")} <= {*ENTRY_POINTS}
    pins = {word for word in words if "==" in word}
    assert pins <= {line.split()[0] for line in (PROJECT_DIR / "requirements.txt").read_text().splitlines() if line}


@pytest.mark.parametrize("command", of("training"))
def test_trainings(command: str, world: Path, comb_musdb: Path) -> None:
    given = [word.replace("FOLDER", str(world / "albums")) for word in shlex.split(command)[2:]]
    given = [word.replace("RUN_DIR", str(world / "RUN_DIR")) for word in given if not word.startswith("ckpt_path")]
    if "=RUN_DIR" in command:  # which here estimates all targets
        given = [word for word in given if not word.startswith("target=")] + ["target=all"]
    small = ["trainer.max_epochs=1", "data.samples_per_epoch=2", "data.batch_size=2", "+trainer.limit_val_batches=1"]
    if "experiment=one_gpu" in given:  # which validates every 8,000 batches
        small += ["trainer.val_check_interval=1", "trainer.accumulate_grad_batches=1"]
    if not any(word.startswith("data.roots") for word in given):
        small.append(f"data.roots=[{comb_musdb}]")
    network = [] if begins_with_a_network(given) else ["model.features=8", "model.repeats=1"]
    settings = [*small, *given, *network]
    metrics = tiny_run(world / "run", *settings)
    assert torch.isfinite(metrics["val/usdr"])
    if "ckpt_path=last" in command:
        last = world / "run" / "weights" / "last.ckpt"
        before = torch.load(last, weights_only=True)["global_step"]
        tiny_run(world / "run", *settings, "trainer.max_epochs=2", f"ckpt_path={last}")
        assert torch.load(last, weights_only=True)["global_step"] == 2 * before


CLUSTER = {
    # N machines × T tasks; what else it is asked for is there
    "srun": r"""#!/bin/bash
        machines=1 tasks=1
        while [[ $1 == -* ]]; do case $1 in
            --nodes) machines=$2; shift 2 ;;
            --ntasks-per-node) tasks=$2; shift 2 ;;
            --gpus-per-node | --output | --error) shift 2 ;;
            *) shift ;;
        esac; done
        export SLURM_JOB_ID=${SLURM_JOB_ID:-$$} SLURM_JOB_NAME=job SLURM_NODELIST=127.0.0.1
        export SLURM_NNODES=$machines SLURM_JOB_NUM_NODES=$machines
        export SLURM_NTASKS=$((machines * tasks)) SLURM_NTASKS_PER_NODE=$tasks
        for ((rank = 0; rank < SLURM_NTASKS; rank++)); do
            SLURM_PROCID=$rank SLURM_NODEID=$((rank / tasks)) SLURM_LOCALID=$((rank % tasks)) "$@" &
            started+=($!)
        done
        for process in "${started[@]}"; do wait "$process" || code=$?; done
        exit ${code:-0}""",
    # one job of the array after the other, while sbatch itself is done
    "sbatch": r"""#!/bin/bash
        last=$(sed -n 's/^#SBATCH --array=0-\([0-9]*\).*/\1/p' "$1")
        export SLURM_ARRAY_JOB_ID=$$
        for ((job = 0; job <= last; job++)); do
            SLURM_ARRAY_TASK_ID=$job SLURM_JOB_ID=$(($$ + job)) bash "$1"
        done > "$1.log" 2>&1 < /dev/null &
        echo "Submitted batch job $$" """,
    "sacct": "#!/bin/sh\necho 'JobID|State|NodeList'\n",
}


@pytest.fixture
def cluster(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(world / "bin", CLUSTER, monkeypatch)


@pytest.mark.parametrize("command", of("processes"))
def test_several_processes(command: str, world: Path, cluster: None) -> None:
    """Two machines are two calls of torchrun that meet at a port, and two tasks of ``srun``."""
    machines = 2 if re.search(r"--n?nodes 2", command) else 1
    per_machine = 2 // machines
    smaller = re.sub(r"(nproc.per.node |ntasks-per-node |trainer\.devices=)4", rf"\g<1>{per_machine}", command)
    smaller = smaller.replace("HOST:29500", f"127.0.0.1:{free_port()}").replace("/shared/run", str(world / "run"))
    smaller = smaller.replace("target=vocals,bass,drums,other", "target=vocals,bass")
    if "train.py" in command:
        small = ["trainer.max_epochs=1", "data.samples_per_epoch=4", "data.batch_size=2", "callbacks.listen.songs=0"]
        words = [*(word for word in TINY if not word.startswith("target=")), *small, "model.features=4"]
        words += [f"hydra.sweep.dir={world / 'sweep'}"] if " -m " in command else []
        words += [f"hydra.run.dir={world / 'run'}"] if "hydra.run.dir" not in smaller and " -m " not in command else []
        smaller = " ".join([smaller.replace("train.py", str(SRC_DIR / "train.py")), *map(shlex.quote, words)])
    else:
        smaller = re.sub(r"(?:src/)?((?:inference|evaluate)\.py)", rf"{SRC_DIR}/\1", smaller)
    calls = machines if command.startswith("torchrun") else 1
    run_together(smaller, calls)
    if "evaluate.py" in command:
        assert (world / "results" / "valid.json").is_file()
    elif "train.py" not in command:
        assert len([*(world / "stems").glob("*.wav")]) == 2 * 4
    elif " -m " in command:
        assert {path.parts[-3] for path in world.glob("sweep/*/weights/last.ckpt")} == {"0_vocals", "1_bass"}
        assert len([*world.glob("sweep/.submitit/*/*_result.pkl")]) == (2 if "launcher" in command else 0)
    else:
        assert (world / "run" / "weights" / "last.ckpt").is_file()
        assert "for a global batch of 4 " in (world / "run" / "train.log").read_text()  # 2 of each process


def run_together(command: str, calls: int = 1) -> None:
    """Run a command, or the same one several times at once."""
    started = [
        subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(calls)
    ]
    with ExitStack() as stack:
        for process in started:
            stack.enter_context(process)
            stack.callback(process.kill)
        for process in started:
            output, _ = process.communicate(timeout=TIMEOUT_SECONDS)
            assert process.returncode == 0, output


TIMEOUT_SECONDS = 600  # against waiting for ever: how fast a machine is does not matter


CHILDREN = {
    "python benchmarks/live_hours.py": ["--minutes", "1", "-c", "live-46ms"],
    "python benchmarks/memory.py": ["--minutes", "0.02"],
    "python benchmarks/roformers.py --keep --depth 2": [
        *("--depth", "1", "--batch", "1", "--seconds", "1", "--rounds", "1"),
    ],
    "python benchmarks/ablations.py": ["--steps", "2", "--only", "0", "--runs", "runs", *TINY],
    "python benchmarks/scale.py --folder FOLDER": [
        *("--folder", "runs", "--songs", "15", "--minutes", "0.05", "--batches", "2"),
        *(*TINY, "target=all", "trainer.max_steps=2", "data.samples_per_epoch=4"),
    ],
}


@pytest.mark.parametrize("command", [*of("child"), *of("pip")])
def test_child_processes(command: str, world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")  # all of it is there already: that the list can be read is what is tested
    smaller = shlex.join(
        str(world / word) if word in ("runs", "live-46ms") else word for word in CHILDREN.get(command, [])
    )
    monkeypatch.chdir(SRC_DIR if "../" in command else PROJECT_DIR)
    run_together(f"{command} {smaller}")


@pytest.mark.parametrize("command", of("download"))
def test_downloads(command: str, world: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a server of this test, which has a small model of that name."""
    model = read_registry().meaning(shlex.split(command)[-1]).model
    registry = register(world, request.getfixturevalue("server"), model_archive())
    registry.write_text(registry.read_text().replace("little:", "best:").replace("tiny", model))
    monkeypatch.setattr(sys, "argv", [*command.split(), "--registry", str(registry), "-o", str(world / "downloads")])
    assert exit_code_of("demix-download") in (0, None)
    assert {file.name for file in (world / "downloads" / model).iterdir()} == {"vocals.ckpt", "bass.ckpt"}


@contextmanager
def serving(command: str) -> Iterator[str]:
    """Run a command that serves a page, until the end of the block; gives the page."""
    process = subprocess.Popen(
        ["bash", "-c", f"exec {command}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # it is Ctrl-C that ends it, which reaches all of its processes
    )
    with process:
        said, address = [], None
        try:
            for line in process.stdout:
                said.append(line)
                if address := re.search(r"http://[^\s/]+", line):
                    break
            assert address, said
            with urllib.request.urlopen(address[0].replace("0.0.0.0", "127.0.0.1"), timeout=60) as answer:
                yield answer.read().decode()
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("command", of("page"))
def test_the_page(command: str, world: Path) -> None:
    smaller = command.replace("--port 8000", f"--port {free_port()}").replace("-d cuda", "-d cpu")
    smaller = smaller.replace("demix-app", f"python {SRC_DIR / 'app.py'}")
    with serving(smaller) as page:
        assert "RUN_DIR" in page
        assert "best" in page


@pytest.mark.parametrize("command", of("tensorboard"))
def test_tensorboard(command: str, world: Path) -> None:
    with serving(f"{command} --port {free_port()}") as page:
        assert "TensorBoard" in page


TINY_TRAINING = shlex.join([*TINY, "trainer.max_steps=2", "data.samples_per_epoch=8", "callbacks.listen.songs=0"])
FIRST_HALF = "src/train.py experiment=shipped hydra.run.dir={runs}/shipped"
SECOND_HALF = "src/train.py experiment=shipped_tuned init={runs}/shipped hydra.run.dir={runs}/shipped_tuned"
# What the Makefile calls, and what makes it small. It fails at anything else, rather than run that in full.
SMALLER = {
    "example/excerpt.py": "",
    "-m pytest -n auto --maxprocesses 4": "-n0 tests/test_example.py::test_example_file",
    "src/app.py": "--port $PORT -d cpu",
    "benchmarks/separation.py": "-c $MODEL -p fp32 -b 1 --song-seconds 1",
    "benchmarks/memory.py": "--minutes 0.02",
    "benchmarks/live.py": "-c live -r eager onnxruntime -t 1 -n 3 -o model.features=4 model.repeats=1",
    "benchmarks/training.py": "model.features=4 model.repeats=1 data.crop_seconds=0.5 data.samples_per_epoch=12"
    " -n bandsplitrnn_small -p fp32",
    FIRST_HALF: TINY_TRAINING,
    SECOND_HALF: TINY_TRAINING,
    f"{FIRST_HALF} ckpt_path=last": "",  # they go on with their own settings
    f"{SECOND_HALF} ckpt_path=last": "",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the project, as cloned and installed: its environment is this one, with a python that adds SMALLER."""
    project = tmp_path / "project"
    unwanted = shutil.ignore_patterns(".*", "__pycache__", "logs", "excerpt", "images", "downloads")
    shutil.copytree(PROJECT_DIR, project, ignore=unwanted)
    runs = project / "src" / "logs" / "bandsplitrnn"
    cases = "\n".join(f'"{called.format(runs=runs)}") set -- "$@" {more} ;;' for called, more in SMALLER.items())
    model, port = write_tiny_model(tmp_path / "model"), free_port()
    small = f'MODEL={model} PORT={port}\ncase "$*" in\n{cases}\n*) echo "unknown: $*"; exit 1 ;;\nesac\n'
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").write_text(f'#!/bin/sh\n{small}exec {sys.executable} "$@"\n')
    (project / ".venv" / "bin" / "python").chmod(0o755)
    for layer in ("run", "app", "dev"):
        (project / ".venv" / layer).touch()
    return project


MADE = {
    "make example": ("uSDR of the estimate", "excerpt/falcon69_vocals.wav"),
    "make test": ("1 passed",),
    "make bench": ("GFLOP/s", "overlap-add", "peak memory"),
    "make bench-live": ("| live | 1 | eager |", "| live | 1 | onnxruntime |"),
    "make bench-train": ("bandsplitrnn_small", "appetite"),
    "make shipped": ("init=", "demixer.training.losses.RelativeRMSLoss"),
    "make app": (),
}


@pytest.mark.parametrize("command", of("make"))
def test_make(command: str, checkout: Path, comb_musdb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected: Sequence[str] = MADE[command]
    monkeypatch.setenv("MUSDB_DIR", str(comb_musdb))
    monkeypatch.chdir(checkout)
    if command == "make app":
        with serving(command) as page:
            assert "musdb18-7s" in page
        return
    done = subprocess.run(command.split(), capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [text for text in expected if text not in done.stdout] == [], done.stdout
    if command == "make shipped":
        again = subprocess.run(command.split(), capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
        assert again.returncode == 0, again.stdout + again.stderr
        assert again.stdout.count("goes on from") == 2


def test_the_shell_is_prepared(checkout: Path) -> None:
    """What is typed before the scripts: the environment is found, and the data set where it is said to be."""
    activate = Path(sys.executable).parent / "activate"
    if not activate.is_file():
        pytest.skip("needs to run in a virtual environment")
    shutil.copy(activate, checkout / ".venv" / "bin")
    ends = "python -c \"import os, sys; print(sys.prefix, os.getcwd(), os.environ['MUSDB_DIR'])\""
    script = " && ".join([*of("shell"), ends])
    done = subprocess.run(["bash", "-c", script], cwd=checkout, capture_output=True, text=True)
    assert done.stdout.split() == [sys.prefix, str(checkout / "src"), "/data/musdb18hq"], done.stderr
