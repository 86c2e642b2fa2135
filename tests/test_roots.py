"""Several roots: how often each is drawn from, also where one of them holds drums and nothing else."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from demixer.data.datamodule import MusicDataModule
from demixer.data.prepare import prepare
from demixer.errors import UserError
from demixer.sources import SOURCES

EXAMPLES = 4000


def write_song(folder: Path, *sources: str, seconds: float = 2.0) -> None:
    folder.mkdir(parents=True)
    rng = np.random.default_rng(len(folder.name))
    for source in sources:
        soundfile.write(folder / f"{source}.wav", 0.1 * rng.standard_normal((round(seconds * 8000), 2)), 8000)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three songs with all sources, and nine times as much of drums alone."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("songs", "grooves"))
    for name in ("A", "B", "C"):
        write_song(one / name, *SOURCES)
    for number in range(9):
        write_song(two / f"groove {number}", "drums", seconds=6.0)
    return [one, two]


@pytest.fixture(scope="module")
def index_dir(roots: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    prepare(roots, folder)
    return folder


def shares(roots: list[Path], index_dir: Path, **options: object) -> dict[str, float]:
    """How often each source was drawn from the second root."""
    defaults = {"targets": ["drums"], "sample_rate_hz": 8000, "crop_seconds": 0.5, "valid": [], "num_workers": 0}
    module = MusicDataModule(roots, index_dir=index_dir, **{**defaults, **options})
    module.setup("fit")
    second: Counter[str] = Counter()
    for index in range(EXAMPLES):
        for source, crop in module.train_set.crops(index).items():
            second[source] += module.train_set.stems.tracks[crop.segment.track].root
    return {source: second[source] / EXAMPLES for source in SOURCES}


def standard_error(share: float) -> float:
    return (share * (1 - share) / EXAMPLES) ** 0.5


class TestShares:
    @pytest.mark.parametrize("sad", [True, False])
    @pytest.mark.parametrize(("weights", "drums"), [([1, 1], 0.5), ([3, 1], 0.25), ([1.0, 0.0], 0.0), ([0, 2], 1.0)])
    def test_weights_are_shares_of_the_draws_of_every_source(self, roots, index_dir, weights, drums, sad):
        if weights[0] == 0:
            with pytest.raises(UserError, match="no training song has a segment of vocals, bass, other"):
                shares(roots, index_dir, root_weights=weights, sad=sad, sources=SOURCES)
            return
        found = shares(roots, index_dir, root_weights=weights, sad=sad)
        assert found["drums"] == pytest.approx(drums, abs=3 * standard_error(drums))
        assert found["vocals"] == found["bass"] == found["other"] == 0

    def test_without_weights_the_number_of_segments_decides(self, roots, index_dir):
        # the song of the voice, one of three in the first root, is passed over
        assert shares(roots, index_dir)["drums"] == pytest.approx(9 / 11, abs=3 * standard_error(9 / 11))
        by_duration = shares(roots, index_dir, sad=False)["drums"]
        assert by_duration == pytest.approx(54 / 58, abs=3 * standard_error(54 / 58))

    def test_songs_as_they_are_come_from_where_there_is_more_than_drums(self, roots, index_dir):
        for sad in (True, False):
            assert set(shares(roots, index_dir, remix_probability=0.0, sad=sad).values()) == {0}
            assert shares(roots, index_dir, remix_probability=0.0, sad=sad, sources=["drums"])["drums"] > 0.7


def test_a_root_with_drums_only_trains_drums_alone_and_says_so(roots, tmp_path, caplog):
    prepare(roots[1:], tmp_path)
    module = MusicDataModule(roots[1:], ["drums"], index_dir=tmp_path, sample_rate_hz=8000, num_workers=0)
    module.setup("fit")
    assert tuple(module.train_set.pools) == ("drums",)
    assert caplog.messages == [
        "no training song has vocals, bass, other: nothing of the kind is mixed around the target"
    ]


@pytest.mark.parametrize("weights", [[1], [1, -1], [0, 0], [1, float("nan")], [1, float("inf")], [1, 1, 1]])
def test_weights_that_no_draw_can_follow(roots, weights):
    with pytest.raises(UserError, match=r"`root_weights` \(=\[.*\]\) must be 2 number\(s\)"):
        MusicDataModule(roots, ["drums"], sad=False, root_weights=weights)
