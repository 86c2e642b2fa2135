"""A thousand spoilt files of every format: each ends well or in one line, in bounded memory and time."""

import pytest

from tests.fuzz.formats import formats
from tests.fuzz.pool import Worker
from tests.fuzz.run import FOREIGN, NAMES

CASES = 1_000


def test_every_format_is_fuzzed() -> None:
    assert {*formats()} == {*NAMES, *(f"{layout}, single changes" for layout in FOREIGN.split())}


@pytest.mark.fuzz
@pytest.mark.parametrize("name", NAMES)
def test_spoilt_files_end_in_a_line(name: str) -> None:
    found: dict[str, list[int]] = {}
    with Worker() as worker:
        for seed in range(CASES):
            outcome, what = worker.run(name, seed)
            if outcome == "failed":
                found.setdefault(what, []).append(seed)
    assert found == {}, f"run one again: python -m tests.fuzz.run --only {name} --first NUMBER --rounds 1 --round 1"
