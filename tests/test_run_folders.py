"""Every run has a folder of its own, which its processes share and no other run enters."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from song_files import free_port
from tiny_runs import tiny_run
from torch.distributed import TCPStore

import demixer.training.config  # noqa: F401  (registers the resolvers)
import train
from demixer.checkpoints.hparams import read_hparams
from demixer.errors import UserError
from demixer.paths import CONF_DIR, SRC_DIR
from demixer.training import run_folders
from demixer.training.run_folders import choose_run_dir, choose_sweep_dir, claimed, is_first_process, new_folder

# train.py with another folder of all runs, that tells where it would train
REDIRECTED = """
import sys; sys.path.insert(0, "{src}"); from pathlib import Path
import train; from demixer.training import run_folders
run_folders.RUNS_DIR = Path("{runs}")
train.train = lambda cfg, given: print(cfg.run_dir)
train.main()
"""
SHORT = ["data.samples_per_epoch=4", "data.batch_size=2", "trainer.max_epochs=1"]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of all runs, an empty one."""
    monkeypatch.setattr(run_folders, "RUNS_DIR", tmp_path / "runs")
    return tmp_path / "runs"


@pytest.fixture
def start(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, str | None]]]:
    """Type ``train.py …``, and see in which folders which checkpoints would be gone on with."""

    def typed(*arguments: str) -> list[tuple[str, str | None]]:
        started = []
        monkeypatch.setattr(train, "train", lambda cfg, given: started.append((cfg.run_dir, cfg.ckpt_path)))
        quiet = ["hydra/job_logging=none", "hydra/hydra_logging=none"]
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments, *quiet])
        train.main()
        return started

    return typed


def write_run(folder: Path, *targets: str) -> Path:
    (folder / "weights").mkdir(parents=True)
    (folder / "hparams.yaml").write_text(f"targets: [{', '.join(targets)}]")
    (folder / "weights" / "last.ckpt").touch()
    return folder


def test_simultaneous_starts_get_folders_of_their_own(runs: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        folders = [*pool.map(lambda _: choose_run_dir(None, []), range(16))]
    assert len({*folders}) == 16
    assert {Path(folder).parent for folder in folders} == {runs}
    assert all(Path(folder).is_dir() for folder in folders)


def test_starts_and_multiruns_within_a_second_do_not_meet(start: Callable, runs: Path) -> None:
    folders = [folder for _ in range(3) for folder, _ in start()]
    folders += [folder for _ in range(2) for folder, _ in start("-m", "target=bass,vocals")]
    assert len({*folders}) == 3 + 2 * 2
    assert len([*runs.iterdir()]) == 3 + 2
    assert {Path(folder).name for folder in folders[3:]} == {"0_bass", "1_vocals"}


def test_one_start_has_one_folder_however_often_it_is_asked_for(runs: Path) -> None:
    """Lightning gives the folder to the processes that it starts, and asks Hydra for it."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        cfg = compose("config", ["hydra.job.name=train"], return_hydra_config=True)
    assert cfg.hydra.run.dir == cfg.hydra.run.dir
    assert [*runs.iterdir()] == [Path(cfg.hydra.run.dir)]


def test_the_processes_of_torchrun_share_a_folder_also_after_a_restart(runs, monkeypatch) -> None:
    port = free_port()
    agent = TCPStore("127.0.0.1", port, is_master=True, wait_for_workers=False)
    told = {"TORCHELASTIC_USE_AGENT_STORE": "True", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    folders = set()
    for rank in ("0", "1", "0", "1"):
        monkeypatch.setenv("RANK", rank)
        folders.add(new_folder())
    assert folders == {*runs.iterdir()}
    assert len(folders) == 1
    del agent


def test_torchrun_itself_gives_its_processes_one_folder(tmp_path: Path) -> None:
    script = tmp_path / "start.py"
    script.write_text(REDIRECTED.format(src=SRC_DIR, runs=tmp_path / "runs"))
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    done = subprocess.run(torchrun, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (folder,) = (tmp_path / "runs").iterdir()
    assert done.stdout.splitlines() == [str(folder)] * 2


def test_the_tasks_of_srun_share_a_folder_and_jobs_do_not(runs, monkeypatch) -> None:
    folders = []
    for job in ("7", "8"):
        for task in ("0", "1"):
            told = {"SLURM_NTASKS": "2", "SLURM_JOB_ID": job, "SLURM_STEP_ID": "0", "SLURM_PROCID": task}
            for name, value in told.items():
                monkeypatch.setenv(name, value)
            folders.append(new_folder().name)
    assert folders == ["slurm_7_0", "slurm_7_0", "slurm_8_0", "slurm_8_0"]


@pytest.mark.parametrize(
    ("told", "first"),
    [
        ({}, True),
        ({"RANK": "0", "LOCAL_RANK": "0"}, True),
        ({"RANK": "4", "LOCAL_RANK": "0"}, False),  # the second machine's
        ({"LOCAL_RANK": "1"}, False),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, False),
        ({"SLURM_PROCID": "1"}, False),
        ({"SLURM_PROCID": "0"}, True),
    ],
)
def test_one_process_of_all_claims_the_folder(told, first, monkeypatch) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert is_first_process() == first


def test_last_is_the_newest_run_and_with_a_target_the_newest_of_it(start: Callable, runs: Path) -> None:
    bass, vocals = (str(write_run(runs / name, name)) for name in ("bass", "vocals"))
    assert start("ckpt_path=last") == [(vocals, "last")]
    assert start("target=vocals", "ckpt_path=last") == [(vocals, "last")]
    assert start("target=bass", "ckpt_path=last") == [(bass, "last")]
    assert start("target=all", "target.targets=[bass]", "ckpt_path=last") == [(bass, "last")]
    file = f"{bass}/weights/last.ckpt"
    assert start(f"ckpt_path={file}") == [(bass, file)]


def test_a_folder_that_is_no_run_is_not_the_newest(runs: Path) -> None:
    bass = write_run(runs / "a", "bass")
    write_run(runs / "b")
    (runs / "b" / "hparams.yaml").write_text("- no mapping")
    assert choose_run_dir("last", ["bass"], ["target=bass"]) == str(bass)


def test_the_last_multirun_goes_on_in_its_folders(start: Callable, runs: Path) -> None:
    command = ("-m", "target=bass,vocals")
    begun = [folder for folder, _ in start(*command)]
    assert [folder for folder, _ in start(*command, "ckpt_path=last")] == begun
    assert choose_sweep_dir("last") == str(Path(begun[0]).parent)


def test_a_used_folder_is_refused_in_a_line(comb_musdb: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    songs = f"data.roots=[{comb_musdb}]"
    tiny_run(run, *SHORT, "target=vocals", songs)
    before = {file: file.read_bytes() for file in run.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match=f"`{run}` holds the weights of another run: go on with that one by ckpt_path"):
        tiny_run(run, *SHORT, "target=bass", songs)
    assert {file: file.read_bytes() for file in run.rglob("*") if file.is_file()} == before
    assert read_hparams(run)["targets"] == ["vocals"]


def test_a_run_without_weights_yet_is_begun_again(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    with claimed(tmp_path, fresh=True):
        pass


def test_two_processes_do_not_train_in_one_folder(tmp_path: Path) -> None:
    code = f"""import sys; sys.path.insert(0, {str(SRC_DIR)!r}); from pathlib import Path
from demixer.training.run_folders import claimed
with claimed(Path({str(tmp_path)!r}), fresh=False): print("claimed", flush=True); sys.stdin.read()"""
    holder = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == "claimed\n"
    with pytest.raises(UserError, match=f"another process is training in `{tmp_path}`"), claimed(tmp_path, fresh=False):
        pass
    holder.kill()
    holder.communicate()
    with claimed(tmp_path, fresh=False):  # who was killed holds nothing
        pass


def test_simultaneous_trainings_end_in_folders_of_their_own(comb_musdb: Path, tmp_path: Path) -> None:
    """Four at once, as a user's loop in a shell starts them; the folder of all runs is redirected."""
    command = [sys.executable, "-c", REDIRECTED.format(src=SRC_DIR, runs=tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    folders = {process.communicate()[0].strip() for process in started}
    assert len(folders) == 4
    assert {str(folder) for folder in tmp_path.iterdir()} == folders
