"""Freed memory is kept: measured by the pages that a process asks the system for."""

import platform
import subprocess
import sys

import pytest

from demixer.paths import SRC_DIR

PROGRAM = """
import resource, sys
sys.path.insert(0, {src!r})
import torch
from demixer.separation.memory import keep_freed_memory
if {keep}:
    assert keep_freed_memory()
for i in range(45):
    if i == 15:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(16_000_000)  # 64 MB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked to keep memory")
def test_large_tensors_reuse_pages() -> None:
    faults = {}
    for keep in (False, True):
        program = PROGRAM.format(src=str(SRC_DIR), keep=keep)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        faults[keep] = int(done.stdout)
    assert faults[False] > 600  # 30 blocks, in pages of 4 kB or 2 MB
    assert faults[True] < faults[False] / 10
