"""Parts of a batch side by side: the same result, each on its share of the cores, and nothing else changed."""

from collections.abc import Iterator
from threading import Barrier

import pytest
import torch

from demixer import AudioParams, Separator
from demixer.cores import items_at_once, shares, spread_over_cores


@pytest.fixture
def four_cores() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("items", "sizes", "threads"),
    [(6, [2, 2, 1, 1], [1, 1, 1, 1]), (3, [1, 1, 1], [2, 1, 1]), (2, [1, 1], [2, 2]), (1, [1], [4])],
)
def test_parts_are_computed_at_once_each_on_its_share_of_the_cores(four_cores, items, sizes, threads) -> None:
    batch, seen = torch.randn(items, 5), []
    together = Barrier(len(sizes), timeout=20)  # passed only if all parts are under way at once

    def double(part: torch.Tensor) -> torch.Tensor:
        together.wait()
        seen.append((len(part), torch.get_num_threads()))
        return 2 * part

    torch.testing.assert_close(spread_over_cores(double, batch), 2 * batch)
    assert sorted(size for size, _ in seen) == sorted(sizes)
    assert sorted(count for _, count in seen) == sorted(threads)
    assert torch.get_num_threads() == 4


def test_shares_differ_by_one_at_the_most_and_none_is_left_out() -> None:
    for whole in range(1, 40):
        for count in range(1, whole + 1):
            parts = shares(whole, count)
            assert sum(parts) == whole
            assert max(parts) - min(parts) <= 1
            assert min(parts) >= 1


def work_of_cores(cores: int, items: int) -> list[float]:
    """How many items each core computes, a share of one where several compute it."""
    count = min(cores, items)
    parts = zip(shares(items, count), shares(cores, count), strict=True)
    return [size / threads for size, threads in parts for _ in range(threads)]


@pytest.mark.parametrize("wanted", range(1, 17))
@pytest.mark.parametrize("cores", range(1, 65))
def test_all_cores_have_work_and_nearly_as_much(cores, wanted) -> None:
    items = items_at_once(wanted, cores)
    assert wanted / 2 < items < 2 * max(wanted, 1) or items == wanted
    work = work_of_cores(cores, items)
    assert len(work) == cores
    if items != wanted or cores % wanted == 0 or wanted % cores == 0:
        assert max(work) == min(work)
    assert max(work) <= 2 * min(work)


@pytest.mark.parametrize(("cores", "windows"), [(2, 4), (3, 3), (4, 4), (5, 5), (6, 3), (7, 7), (8, 4), (10, 5)])
def test_the_default_batch_gives_every_core_the_same(monkeypatch, cores, windows) -> None:
    sizes = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: cores)
    monkeypatch.setattr("demixer.separation.separator.spread_over_cores", lambda network, batch: network(batch))

    def network(batch: torch.Tensor) -> torch.Tensor:
        sizes.append(len(batch))
        return batch.unsqueeze(1)

    Separator(network, ["all"], 1000, AudioParams(0.1, 0.1), "cpu")(torch.zeros(1, 100 * 2 * windows))
    assert sizes == [windows, windows]
    assert len({*work_of_cores(cores, windows)}) == 1


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
