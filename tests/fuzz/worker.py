"""A process that may die: it takes cases from stdin, and tells on stdout how each ended.

A case is a format and a number, from which its file is made anew. It passes when it ends well, or in one line that a
user can read, and holds no more memory and takes no more time than is allowed.
"""

import json
import os
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

from demixer.errors import UserError, error_line, of_system
from demixer.paths import PACKAGE_DIR

CPU_SECONDS = 10  # for one case
RESIDENT_BYTES = 256 << 20  # more than before the case
ADDRESS_BYTES = 1 << 30  # beyond what the libraries map
LONGEST_LINE = 2_000


def main() -> None:
    warnings.simplefilter("error")
    from tests.fuzz.formats import formats

    known, memory = formats(), "/dev/shm" if Path("/dev/shm").is_dir() else None
    with os.fdopen(os.dup(1), "w") as answers, tempfile.TemporaryDirectory(dir=memory) as place:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries remark
        _limit_memory()
        os.chdir(place)
        for line in sys.stdin:
            name, seed = json.loads(line)
            folder = Path(place) / "outer" / "case"
            folder.mkdir(parents=True)
            path = known[name].write_case(folder, seed)
            outcome, what = _measured(known[name], path)
            shutil.rmtree(folder.parent)
            answers.write(json.dumps([outcome, what]) + "\n")
            answers.flush()


def _measured(one, path: Path) -> tuple[str, str]:
    _limit_cpu()
    before = _peak_after_reset()
    outcome, what = judged(one, path)
    grown = _status("VmHWM") - before
    if outcome != "failed" and grown > RESIDENT_BYTES:
        return "failed", f"memory: {grown >> 20} MB for a file of {path.stat().st_size} bytes"
    return outcome, what


def judged(one, path: Path) -> tuple[str, str]:
    """Whether a case passed ("well", "noted", "refused") or "failed", and what was said."""
    try:
        remark = one.use(path)
    except UserError as error:
        return _line(error_line(error))
    except OSError as error:
        if error.errno is None:
            return "failed", _trace(error)
        return _line(error_line(UserError(of_system(error))))
    except BaseException as error:
        return "failed", _trace(error)
    return _line(f"note: {remark}") if remark else ("well", "")


def _line(line: str) -> tuple[str, str]:
    if not line.isprintable():
        return "failed", f"line: steers a terminal: {line[:200]!r}"
    if len(line) > LONGEST_LINE:
        return "failed", f"line: {len(line)} characters: {line[:100]}"
    return ("noted" if line.startswith("note") else "refused"), line[:300]


def _trace(error: BaseException) -> str:
    """The exception and where in this program it came from, in words that are alike for like faults."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if str(PACKAGE_DIR) in frame.filename] or frames
    place = f"{Path(own[-1].filename).name}:{own[-1].lineno} {own[-1].name}"
    return f"{type(error).__name__} at {place}: {str(error)[:150]!r}"


def _limit_memory() -> None:
    most = _status("VmSize") + ADDRESS_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _limit_cpu() -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.RLIM_INFINITY))


def _peak_after_reset() -> int:
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is resident now
    return _status("VmRSS")


def _status(name: str) -> int:
    """A number of bytes from the kernel's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) << 10


if __name__ == "__main__":
    main()
