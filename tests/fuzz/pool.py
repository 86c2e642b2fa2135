"""Workers that run cases; one that dies or hangs fails its case, and another takes its place."""

import json
import os
import selectors
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

PROJECT_DIR = Path(__file__).resolve().parents[2]
CASES_EACH = 1_000  # of a process: what libraries leak in all of them is not the fault of one
WALL_SECONDS = 60  # without an answer, on a machine that may be busy; to start up takes some of it


class Worker:
    """One process, begun when the first case comes.

    Args:
        source: the folder of the package that is tested.
    """

    def __init__(self, source: Path = PROJECT_DIR / "src") -> None:
        self.source = source
        self.process: subprocess.Popen[str] | None = None
        self.cases = 0

    def run(self, name: str, seed: int) -> tuple[str, str]:
        """Run a case; "well", "noted", "refused" or "failed", and what was said."""
        if self.cases == CASES_EACH:
            self.stop()
            self.cases = 0
        self.cases += 1
        process = self.process = self.process or self._start()
        try:
            process.stdin.write(json.dumps([name, seed]) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline() if self._is_answering(process) else None
        except BrokenPipeError:
            answer = ""
        if answer:
            return tuple(json.loads(answer))
        if answer is None:
            process.kill()
        self.stop()
        if answer is None:
            return "failed", f"time: no answer in {WALL_SECONDS} s"
        return "failed", f"died: {_cause(process.returncode)}"

    @staticmethod
    def _is_answering(process: subprocess.Popen[str]) -> bool:
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            return bool(selector.select(WALL_SECONDS))

    def _start(self) -> subprocess.Popen[str]:
        paths = os.pathsep.join([str(self.source), str(PROJECT_DIR)])
        alone = {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths, "DEMIXER_HOME": os.devnull}
        return subprocess.Popen(
            [sys.executable, "-m", "tests.fuzz.worker"],
            cwd=PROJECT_DIR,
            env=os.environ | alone,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self.process is None:
            return
        with suppress(BrokenPipeError):
            self.process.stdin.close()  # at which it ends, if it can
        if not self._ends():
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process = None

    def _ends(self) -> bool:
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            return False
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()


def _cause(code: int) -> str:
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
