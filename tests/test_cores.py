"""Parts of a batch side by side: the same result, each on its share of the cores, and nothing else changed."""

from collections.abc import Iterator
from threading import Barrier

import pytest
import torch

from demixer import AudioParams, Separator
from demixer.cores import spread_over_cores


@pytest.fixture
def four_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("items", "sizes", "share"), [(6, [2, 2, 2], 1), (2, [1, 1], 2), (1, [1], 4)])
def test_parts_are_computed_at_once_each_on_its_share_of_the_cores(four_cores, items, sizes, share) -> None:
    batch, seen = torch.randn(items, 5), []
    together = Barrier(len(sizes), timeout=20)  # passed only if all parts are under way at once

    def double(part: torch.Tensor) -> torch.Tensor:
        together.wait()
        seen.append((len(part), torch.get_num_threads()))
        return 2 * part

    torch.testing.assert_close(spread_over_cores(double, batch), 2 * batch)
    assert sorted(seen) == [(size, share) for size in sorted(sizes)]
    assert torch.get_num_threads() == 4


def test_an_error_in_a_part_is_the_callers(four_cores) -> None:
    def fail(part: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CPU out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        spread_over_cores(fail, torch.randn(4, 5))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_processors_stems_are_those_of_undivided_batches(four_cores, precision) -> None:
    rnn, song = torch.nn.LSTM(2, 2, batch_first=True).requires_grad_(False), torch.randn(2, 3000)

    def network(windows: torch.Tensor) -> torch.Tensor:
        return rnn(windows.mT)[0].mT.unsqueeze(1)

    params = AudioParams(0.4, 0.2, batch_size=4)
    whole = Separator(network, ["all"], 1000, params, None, precision)
    divided = Separator(network, ["all"], 1000, params, torch.device("cpu"), precision)
    torch.testing.assert_close(divided(song)["all"], whole(song)["all"], rtol=0, atol=1e-6)
