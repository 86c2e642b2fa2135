"""Every bad input with the line that it prints, as Markdown: ``python tests/bad_inputs_table.py > table.md``."""

import contextlib
import io
import sys
from pathlib import Path

import pytest

OF_LIVE = (
    "test_what_cannot_be_is_one_line",
    "test_a_model_that_hears_the_future_is_refused",
    "test_bytes_that_are_no_whole_sample_cost_a_line_and_the_exit_code",
    "test_what_clips_costs_a_line",
)


class Table:
    """A pytest plugin that collects what the tests of bad inputs were told."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, int]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":
            return
        function, _, case = report.nodeid.rpartition("::")[2].partition("[")
        name = case[:-1].rstrip("-") or function.removeprefix("test_").replace("_", " ")
        if "test_live_command" in report.nodeid:
            name = f"demix-live {name}"
        for errors, code in dict(report.user_properties).get("told", ()):
            self.rows.append((name, "<br>".join(errors.splitlines()) or "–", code))


def main() -> int:
    table = Table()
    here = Path(__file__).parent
    tests = [here / "test_bad_inputs.py", *(f"{here / 'test_live_command.py'}::{name}" for name in OF_LIVE)]
    with contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main(["-p", "no:xdist", *map(str, tests)], plugins=[table])
    print("| case | what is printed (–: nothing, all is well) | exit code |\n|---|---|---|")
    for row in table.rows:
        print("|", " | ".join(str(cell).replace("|", "\\|") for cell in row), "|")
    return code


if __name__ == "__main__":
    sys.exit(main())
