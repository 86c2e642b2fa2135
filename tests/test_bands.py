"""The band tables of the paper, in bins."""

import pytest
import torch
import yaml

from demixer.model.modules.bands import BandTable, band_widths_bins
from demixer.paths import CONF_DIR

# K as tabled in the paper (section IV-A) and, for all four at once, in arXiv 2603.09187
BANDS = {"vocals": 41, "other": 41, "bass": 30, "drums": 55, "all": 57}


def table_hz(target: str) -> list[list[float]]:
    return yaml.safe_load((CONF_DIR / "target" / f"{target}.yaml").read_text())["bands_hz"]


@pytest.mark.parametrize("edges", ["nominal", "whole_bins"])
@pytest.mark.parametrize(("target", "bands"), BANDS.items())
def test_tabled_number_of_bands_tiles_every_bin_once(target: str, bands: int, edges: str) -> None:
    widths = band_widths_bins(table_hz(target), 2048, 44100, edges)
    assert len(widths) == bands
    assert sum(widths) == 1025
    assert min(widths) >= 1


def test_nominal_edges_are_within_a_bin_of_the_paper() -> None:
    widths = band_widths_bins(table_hz("vocals"), 2048, 44100)
    edges_hz = [sum(widths[:k]) * 44100 / 2048 for k in (10, 22, 30, 38, 40)]
    for edge_hz, nominal_hz in zip(edges_hz, (1000, 4000, 8000, 16000, 20000), strict=True):
        assert 0 <= edge_hz - nominal_hz < 44100 / 2048


def test_whole_bins_are_the_widths_that_published_checkpoints_have() -> None:
    # floor(width · 1025 / 22050), design.md section 6
    widths = band_widths_bins(table_hz("all"), 2048, 44100, "whole_bins")
    assert widths == [2] * 20 + [4] * 10 + [11] * 8 + [23] * 8 + [46] * 8 + [92] * 2 + [121]


@pytest.mark.parametrize(
    ("bands_hz", "message"),
    [
        ([(1000, 100), (900, 100)], "must continue from 1000"),
        ([(1050, 100)], "in whole bands"),
        ([(23000, 1000)], "must continue"),
        ([(100, 5)], "without a bin"),
    ],
)
def test_impossible_tables_are_refused(bands_hz: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        band_widths_bins(bands_hz, 2048, 44100)


def test_edges_have_two_spellings() -> None:
    with pytest.raises(ValueError, match=r"'nearest'.*nominal"):
        band_widths_bins([(1000, 100)], 2048, 44100, "nearest")


@pytest.mark.parametrize("widths", [[2, 2, 3, 3], [2, 3, 2, 3, 5], [4]])
def test_split_and_join_are_inverse_in_any_order_of_widths(widths: list[int]) -> None:
    table = BandTable(widths)
    spectrum = torch.arange(3 * sum(widths) * 2.0).reshape(3, sum(widths), 2)  # (M, F, P)
    parts = table.split(spectrum)
    assert [tuple(part.shape) for part in parts] == [(len(g.bands), 3, g.width * 2) for g in table.groups]
    assert torch.equal(table.join_bins(parts, 2), spectrum)


def test_bands_come_back_from_low_to_high() -> None:
    table = BandTable([2, 3, 2, 3, 5])
    first_bins = [torch.tensor(group.first_bins) for group in table.groups]
    assert table.join_bands(first_bins).tolist() == [0, 2, 5, 7, 10]
    numbers = torch.arange(5)
    assert torch.equal(table.join_bands(table.pick_bands(numbers)), numbers)


def test_equal_widths_side_by_side_are_views() -> None:
    spectrum = torch.randn(3, 9, 2)
    narrow, wide = BandTable([2, 2, 5]).split(spectrum)
    assert narrow.data_ptr() == spectrum.data_ptr()
    assert wide.untyped_storage().data_ptr() == spectrum.untyped_storage().data_ptr()
