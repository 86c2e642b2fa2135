"""evaluate.py on the rendered dataset, with separators whose scores are known beforehand."""

import csv
import io
import json
import math

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

from demixer.audio import read_audio
from demixer.checkpoints.hparams import write_hparams
from demixer.checkpoints.weights import write_weights
from demixer.data.tracks import SOURCES
from demixer.errors import UserError
from demixer.evaluation.evaluating import evaluate
from demixer.evaluation.gallery import Gallery
from demixer.evaluation.metrics import csdr, usdr
from demixer.evaluation.results import Evaluation, Score, read_results, summarise, write_results
from demixer.evaluation.score_table import screen_table
from demixer.evaluation.scoring import measure, measure_song, songs_of
from demixer.model.building import build_network
from demixer.separation.separator import Separator

HPARAMS = {
    "targets": ["vocals", "bass"],
    "bands_hz": [[20000, 2000]],
    "featurizer": {"n_fft": 512, "hop_samples": 256, "sample_rate_hz": 44100},
    "model": {"features": 4, "repeats": 1},
}


class Mixture:
    """The identity: every stem is the mixture."""

    sample_rate_hz, device = 44_100, torch.device("cpu")

    def __init__(self, targets=SOURCES):
        self.targets = targets

    def __call__(self, waveform, sample_rate_hz):
        return dict.fromkeys(self.targets, waveform)


class Oracle(Mixture):
    """Knows the true stems of the tracks, and gives them ``scale`` times as loud."""

    def __init__(self, tracks, scale, targets=SOURCES):
        super().__init__(targets)
        self.scale = scale
        self.tracks = {read_audio(track.paths["mixture"])[0].double().sum().item(): track for track in tracks}

    def __call__(self, waveform, sample_rate_hz):
        track = self.tracks[waveform.double().sum().item()]
        return {target: self.scale * read_audio(track.paths[target])[0] for target in self.targets}


@pytest.fixture
def model(tmp_path):
    """A folder that passes for a saved model."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("hparams.yaml", "weights.safetensors"):
        (folder / name).touch()
    return folder


def use(monkeypatch, separator):
    monkeypatch.setattr(Separator, "from_pretrained", lambda path, device: separator)


def song_folder(root, frames=30_000, rate_hz=44_100, sources=SOURCES):
    folder = root / "test" / "Some Song"
    folder.mkdir(parents=True)
    stems = 0.1 * np.random.default_rng(0).standard_normal((len(sources), frames, 2))
    for source, samples in {"mixture": stems.sum(0), **dict(zip(sources, stems, strict=True))}.items():
        soundfile.write(folder / f"{source}.wav", samples, rate_hz, subtype="FLOAT")
    return root


def test_the_identity_scores_what_the_mixture_scores(musdb_hq):
    tracks = songs_of([musdb_hq], "test")
    scores = measure(Mixture(), tracks)
    assert [(s.song, s.target) for s in scores] == [(track.name, source) for track in tracks for source in SOURCES]
    for score in scores:
        assert score.usdr_db == score.mixture_usdr_db
        assert score.csdr_db == score.mixture_csdr_db or math.isnan(score.csdr_db)
    mixture, vocals = (read_audio(tracks[0].paths[name])[0] for name in ("mixture", "vocals"))
    assert scores[0].usdr_db == usdr(vocals, mixture) < 5


def test_true_stems_at_nine_tenths_score_20_db(musdb_hq):
    tracks = songs_of([musdb_hq], "test")
    identity = measure(Mixture(), tracks)
    for score, plain in zip(measure(Oracle(tracks, 0.9), tracks), identity, strict=True):
        assert (score.mixture_usdr_db, score.mixture_csdr_db) == (plain.usdr_db, plain.csdr_db)
        assert score.usdr_db == pytest.approx(20, abs=1e-3)
        assert score.csdr_db == pytest.approx(20, abs=1e-3)


def test_csdr_takes_seconds_of_the_song_s_own_rate_and_their_median(tmp_path):
    track = songs_of([song_folder(tmp_path, frames=25_000, rate_hz=8_000)], "test")[0]
    estimates = torch.stack([read_audio(track.paths[source])[0] for source in SOURCES])
    estimates[:, :, :8_000] *= 0.5
    estimates[:, :, 8_000:16_000] *= 0.9
    estimates[:, :, 16_000:24_000] *= 0.99
    separator = Mixture()
    separator.__class__ = type("Fixed", (Mixture,), {"__call__": lambda *_: dict(zip(SOURCES, estimates, strict=True))})
    assert measure_song(separator, track)[2].csdr_db == pytest.approx(20, abs=1e-3)


def test_the_separator_is_told_the_song_s_rate_and_asked_once(tmp_path):
    calls = []

    class Recorder(Mixture):
        def __call__(self, waveform, sample_rate_hz):
            calls.append((waveform.shape[-1], sample_rate_hz))
            return super().__call__(waveform, sample_rate_hz)

    measure(Recorder(), songs_of([song_folder(tmp_path, frames=12_345, rate_hz=22_050)], "test"), Gallery())
    assert calls == [(12_345, 22_050)]


def test_a_song_without_a_target_s_file_is_scored_on_the_others(tmp_path):
    folder = song_folder(tmp_path, sources=("drums", "bass"))
    assert [score.target for score in measure(Mixture(), songs_of([folder], "test"))] == ["drums", "bass"]
    with pytest.raises(UserError, match="none of the songs has a file of vocals"):
        measure(Mixture(("vocals",)), songs_of([folder], "test"))


def test_without_a_mixture_file_the_sources_are_summed(tmp_path):
    folder = song_folder(tmp_path)
    expected = measure(Mixture(), songs_of([folder], "test"))
    (folder / "test" / "Some Song" / "mixture.wav").unlink()
    for score, other in zip(measure(Mixture(), songs_of([folder], "test")), expected, strict=True):
        assert score.usdr_db == pytest.approx(other.usdr_db, abs=1e-4)


def test_broken_weights_do_not_pass_for_a_song_without_score(tmp_path):
    with pytest.raises(UserError, match="`vocals` of song `Some Song` is not finite"):
        measure(Oracle(songs_of([song_folder(tmp_path)], "test"), math.nan), songs_of([tmp_path], "test"))


def test_evaluate_writes_what_it_returns(musdb_hq, model, monkeypatch):
    use(monkeypatch, Oracle(songs_of([musdb_hq], "test"), 0.9, ("drums", "other")))
    evaluation = evaluate(model, musdb_hq)
    assert {path.name for path in model.iterdir()} == {
        *("hparams.yaml", "weights.safetensors", "test.log", "test.json", "test.csv", "report.html")
    }
    assert read_results(model) == evaluation
    content = json.loads((model / "test.json").read_text())
    assert content["model"] == "model"
    assert content["subset"] == "test"
    assert content["summary"]["drums"]["usdr_db"] == pytest.approx(20, abs=1e-3)
    assert content["summary"]["drums"]["songs_usdr"] == 2
    assert content["summary"]["mean"]["csdr_db"] == pytest.approx(20, abs=1e-3)
    with (model / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["song"], row["target"]) for row in rows] == [(s.song, s.target) for s in evaluation.scores]
    assert [float(row["usdr_db"]) for row in rows] == [score.usdr_db for score in evaluation.scores]
    log = (model / "test.log").read_text()
    assert log.startswith("command: python ")
    assert f"torch {torch.__version__}" in log
    assert "Tiny Band - Ember | drums | 20.00 | 20.00 | " in log
    assert str(musdb_hq) not in (model / "test.json").read_text() + (model / "report.html").read_text()


def test_the_dataset_comes_from_the_option_the_environment_or_the_run(musdb_hq, model, monkeypatch):
    use(monkeypatch, Mixture())
    monkeypatch.delenv("MUSDB_DIR", raising=False)
    with pytest.raises(UserError, match="no dataset: give MUSDB18-HQ's folder with -i"):
        evaluate(model)
    (model / "hydra").mkdir()
    (model / "hydra" / "config.yaml").write_text(f"data: {{roots: ['{musdb_hq}'], valid: ['Tiny Band - Dune']}}")
    assert evaluate(model, report=False).songs == ["Tiny Band - Ember", "Tiny Band - Fjord"]
    assert evaluate(model, split="valid", report=False).songs == ["Tiny Band - Dune"]
    monkeypatch.setenv("MUSDB_DIR", "nowhere")
    with pytest.raises(UserError, match=r"`nowhere` \(\$MUSDB_DIR\) does not exist"):
        evaluate(model)
    assert len(evaluate(model, musdb_hq, report=False).songs) == 2
    assert not (model / "report.html").exists()


@pytest.mark.parametrize("root", ["${oc.env:MUSDB_DIR,null}", "${oc.env:MUSDB_DIR}", "${of_a_later_version:}"])
def test_a_run_that_recorded_no_dataset_gets_the_same_line(model, monkeypatch, root):
    """Hydra's own record, of older runs, holds the variable's name and not the folder."""
    monkeypatch.delenv("MUSDB_DIR", raising=False)
    (model / "hydra").mkdir()
    (model / "hydra" / "config.yaml").write_text(f"data: {{roots: ['{root}'], valid: null}}")
    with pytest.raises(UserError, match="no dataset: give MUSDB18-HQ's folder with -i"):
        evaluate(model)


def test_the_newest_record_of_a_run_names_its_dataset(musdb_hq, model, monkeypatch):
    use(monkeypatch, Mixture())
    monkeypatch.delenv("MUSDB_DIR", raising=False)
    for name, root in (("hydra/config.yaml", "/gone"), ("config.yaml", "/moved"), ("config_2.yaml", musdb_hq)):
        (model / name).parent.mkdir(exist_ok=True)
        (model / name).write_text(f"data: {{roots: ['{root}'], valid: null}}")
    assert len(evaluate(model, report=False).songs) == 2


def test_a_split_is_one_of_the_subset_train(musdb_hq, model, monkeypatch):
    use(monkeypatch, Mixture(("bass",)))
    names = ["Actions - One Minute Smile", "Triviul - Angelsaint"]
    valid = evaluate(model, musdb_hq, split="valid", report=False)
    assert valid.songs == names
    assert (valid.about["subset"], valid.about["split"]) == ("train", "valid")
    assert len(evaluate(model, musdb_hq, subset="train", report=False).songs) == 6
    with pytest.raises(UserError, match="--split valid divides the subset train, not test"):
        evaluate(model, musdb_hq, subset="test", split="valid")


def test_a_dataset_without_the_subset_gets_a_remedy(tmp_path, model):
    (tmp_path / "musdb" / "train").mkdir(parents=True)
    with pytest.raises(UserError, match=r"subset `test`.*--subset train --split valid"):
        evaluate(model, tmp_path / "musdb")
    (tmp_path / "musdb" / "train" / "A - B.stem.mp4").touch()
    with pytest.raises(UserError, match=r"\.stem\.mp4 files must be decoded first: python prepare_dataset\.py"):
        evaluate(model, tmp_path / "musdb", subset="train")


def test_comparing_needs_an_evaluation_of_the_other_run(musdb_hq, model, tmp_path, monkeypatch):
    use(monkeypatch, Mixture())
    with pytest.raises(UserError, match=r"test\.json` does not exist; write it first: python evaluate\.py -d"):
        evaluate(model, musdb_hq, compare_dir=tmp_path)
    (tmp_path / "test.json").write_text("{}")
    with pytest.raises(UserError, match="is no evaluation of this program"):
        evaluate(model, musdb_hq, compare_dir=tmp_path)


def test_results_survive_their_files_with_nan_and_infinity(tmp_path):
    numbers = (1.25, math.inf, -3.5, math.nan)
    write_results(tmp_path, Evaluation({"model": "m"}, ("bass",), (Score('A "quoted", song', "bass", *numbers),)))
    assert "NaN" not in (tmp_path / "test.json").read_text()
    score = read_results(tmp_path).scores[0]
    assert score.song == 'A "quoted", song'
    assert (score.usdr_db, score.csdr_db, score.mixture_usdr_db) == numbers[:3]
    assert math.isnan(score.mixture_csdr_db)


def test_the_summary_leaves_out_what_could_not_be_measured_and_says_so(tmp_path):
    values = [(1.0, 4.0), (3.0, math.nan), (8.0, 5.0), (0.0, 12.0)]
    scores = tuple(Score(f"song {i}", "bass", u, c, -u, math.nan) for i, (u, c) in enumerate(values))
    evaluation = Evaluation({"model": "m"}, ("bass",), scores)
    row = summarise(evaluation)["bass"]
    assert (row["usdr_db"], row["csdr_db"], row["songs_usdr"], row["songs_csdr"]) == (3.0, 5.0, 4, 3)
    assert math.isnan(row["mixture_csdr_db"])
    write_results(tmp_path, evaluation)
    assert "bass | 3.00 | 5.00 | −3.00 | – | uSDR of 4, cSDR of 3 of 4 songs" in (tmp_path / "test.log").read_text()


@pytest.mark.parametrize(("width", "cell"), [(120, "−0.50 / 2.25"), (80, "−0.5 / 2.2")])
def test_the_table_fits_the_screen(width, cell):
    scores = tuple(Score("Song [of] us", target, -0.5, 2.25, -11.25, -12.25) for target in SOURCES)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(screen_table(Evaluation({"model": "m", "subset": "test"}, SOURCES, scores), width))
    text = console.export_text()
    assert text.count(cell) == (10 if width == 120 else 8)
    assert "Song [of] us" in text
    assert max(map(len, text.splitlines())) <= width


def test_the_script_measures_a_saved_model_from_anywhere(musdb_hq, tmp_path, run_script, monkeypatch):
    model = tmp_path / "saved"
    torch.manual_seed(0)
    write_hparams(model, HPARAMS)
    write_weights(model / "weights.safetensors", build_network(HPARAMS).state_dict())
    monkeypatch.setenv("MUSDB_DIR", str(musdb_hq))
    done = run_script("evaluate", "--run_dir", model, "--device", "cpu", "--no_report")
    assert done.returncode == 0, done.stderr
    assert "the plain mixture" in done.stdout
    assert "Tiny Band - Fjord" in done.stdout
    evaluation = read_results(model)
    assert evaluation.targets == ("vocals", "bass")
    tracks = songs_of([musdb_hq], "test")
    separator = Separator.from_pretrained(model, device="cpu")
    truth, mixture = (read_audio(tracks[1].paths[name])[0] for name in ("bass", "mixture"))
    estimate = separator(mixture)["bass"]
    assert evaluation.of("bass")[1].usdr_db == pytest.approx(usdr(truth, estimate), abs=1e-3)
    assert csdr(truth[None], estimate[None], 44_100, 44_100).shape[1] == tracks[1].frames // 44_100


def test_the_script_names_a_mistake_in_one_line(run_script, tmp_path):
    done = run_script("evaluate", "-d", tmp_path / "nothing")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no model at")
    assert done.stderr.count("\n") == 1
