"""Tracks of the package musdb are scored like our own reader's; its import needs the programs ffmpeg and ffprobe."""

import shutil
import warnings
from types import SimpleNamespace

import pytest
import soundfile
import torch

from demixer.datasets.stem_files import decode_stem_files
from demixer.errors import UserError
from demixer.evaluation.gallery import Gallery
from demixer.evaluation.metrics import csdr, usdr
from demixer.evaluation.scores import METRICS
from demixer.evaluation.scoring import measure, songs_of
from demixer.sources import SOURCES
from example.excerpt import excerpt_file
from tests.song_files import music, noise

# Both readers round to 16 bit, one sample in some thousand to neighbouring integers where their FFmpegs are of two
# versions; that moved a score by 5e-7 dB at most. Of the same samples the scores are the same.
TOLERANCE_DB = 1e-5


class Halves:
    """Gives every other target half of the mixture, and the rest a delayed one."""

    def __init__(self, targets=SOURCES):
        self.targets = targets
        self.calls = []

    def __call__(self, waveform, sample_rate_hz):
        self.calls.append((waveform.dtype, tuple(waveform.shape), sample_rate_hz))
        kinds = (0.5 * waveform, waveform.roll(3, dims=-1))
        return {target: kinds[i % 2] for i, target in enumerate(self.targets)}


def musdb_track(name, rate_hz, mixture, **sources):
    """What musdb.DB holds: waveforms (L, C) in float64, behind attributes."""
    targets = {source: SimpleNamespace(audio=waveform) for source, waveform in sources.items()}
    return SimpleNamespace(name=name, rate=rate_hz, audio=mixture, targets=targets, sources=targets)


@pytest.fixture
def falcon(tmp_path):
    """Our own track of the song in the package stempeg, as prepare_dataset.py writes it."""
    decode_stem_files([excerpt_file()], tmp_path / "wav", "test")
    return songs_of([tmp_path / "wav"], "test")[0]


def assert_scores_equal(ours, theirs, tolerance_db):
    assert [(score.song, score.target) for score in theirs] == [(score.song, score.target) for score in ours]
    for one, other in zip(ours, theirs, strict=True):
        for metric in METRICS:
            assert getattr(other, metric) == pytest.approx(getattr(one, metric), abs=tolerance_db)


def test_what_is_like_a_track_of_musdb_is_scored_as_one(falcon):
    waveforms = {name: soundfile.read(path, dtype="float64")[0] for name, (path,) in falcon.paths.items()}
    track = musdb_track(falcon.name, falcon.sample_rate_hz, **waveforms)
    separator, gallery = Halves(), Gallery()
    theirs = measure(separator, [track], gallery)
    assert separator.calls == [(torch.float32, (2, 268_288), 44_100)]
    assert_scores_equal(measure(Halves(), [falcon]), theirs, tolerance_db=0)
    assert set(gallery.best) == set(SOURCES)


def test_the_true_sources_are_musdb_s_targets(falcon):
    vocals, other = music(20_000), noise(20_000)
    mixture = vocals + other
    sources = {"vocals": vocals, "accompaniment": other, "linear_mixture": mixture}
    track = musdb_track("A", 10_000, mixture.T.numpy(), **{name: x.T.double().numpy() for name, x in sources.items()})
    scores = measure(Halves(("vocals", "drums", "accompaniment")), [track])
    assert [score.target for score in scores] == ["vocals", "accompaniment"]
    assert scores[0].usdr_db == usdr(vocals, 0.5 * mixture)
    both, mixed = torch.stack([vocals, other]), torch.stack([mixture, mixture])
    assert scores[1].mixture_csdr_db == csdr(both, mixed, 10_000, 10_000)[1].mean()  # two windows: their median
    with pytest.raises(UserError, match="none of the songs has a file of drums"):
        measure(Halves(("drums",)), [track])


def test_a_track_that_musdb_resamples_has_the_rate_that_was_asked_for():
    waveform = music(20_000).T.double().numpy()
    track = musdb_track("A", 44_100, waveform, vocals=waveform)
    track.sample_rate = 22_050  # musdb.DB(sample_rate=22050)
    separator = Halves(("vocals",))
    measure(separator, [track])
    assert separator.calls[0][2] == 22_050


@pytest.mark.skipif(
    not (shutil.which("ffmpeg") and shutil.which("ffprobe")),
    reason="musdb imports only where the programs ffmpeg and ffprobe are installed",
)
@pytest.mark.parametrize("subset", ["train", "test"])
def test_tracks_of_musdb_itself_score_as_our_own_reader_s(falcon, tmp_path, subset):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # other people's import-time warnings
        import musdb
    (tmp_path / "musdb18" / subset).mkdir(parents=True)
    shutil.copy(excerpt_file(), tmp_path / "musdb18" / subset)
    database = musdb.DB(root=str(tmp_path / "musdb18"))
    assert [track.name for track in database] == [falcon.name]
    separator = Halves()
    theirs = measure(separator, database)
    assert separator.calls == [(torch.float32, (2, 268_288), 44_100)]
    assert_scores_equal(measure(Halves(), [falcon]), theirs, TOLERANCE_DB)
