"""evaluate.py on the rendered dataset, with separators whose scores are known beforehand."""

import csv
import io
import json
import math
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

from demixer.checkpoints.hparams import write_hparams
from demixer.checkpoints.weights import write_weights
from demixer.commands import evaluate as command
from demixer.datasets.track_files import read_source
from demixer.errors import UserError
from demixer.evaluation.evaluating import Settings, evaluate
from demixer.evaluation.gallery import Gallery
from demixer.evaluation.intervals import intervals
from demixer.evaluation.metrics import csdr, usdr
from demixer.evaluation.museval_reference import museval_scores
from demixer.evaluation.results import read_results, write_results
from demixer.evaluation.score_table import screen_table
from demixer.evaluation.scores import METRICS, Evaluation, Score, summarise
from demixer.evaluation.scoring import measure, measure_song, songs_of
from demixer.evaluation.wording import decibels
from demixer.model.building import build_network
from demixer.paths import PROJECT_DIR
from demixer.separation.audio_params import AudioParams
from demixer.separation.separator import Separator
from demixer.sources import SOURCES

HPARAMS = {
    "targets": ["vocals", "bass"],
    "bands_hz": [[20000, 2000]],
    "featurizer": {"n_fft": 512, "hop_samples": 256, "sample_rate_hz": 44100},
    "model": {"features": 4, "repeats": 1},
}
SHIPPED = PROJECT_DIR / "saved_models" / "musdb18-7s"
MUSEVAL = ("museval_sdr_db", "museval_isr_db", "museval_sir_db", "museval_sar_db")


class Mixture:
    """The identity: every stem is the mixture."""

    sample_rate_hz, device, precision, audio_params = 44_100, torch.device("cpu"), torch.float32, AudioParams()

    def __init__(self, targets=SOURCES):
        self.targets = targets

    def __call__(self, waveform, sample_rate_hz):
        return dict.fromkeys(self.targets, waveform)

    def only(self, targets):
        return Mixture(targets)


class Oracle(Mixture):
    """Knows the true stems of the tracks, and gives them ``scale`` times as loud."""

    def __init__(self, tracks, scale, targets=SOURCES):
        super().__init__(targets)
        self.scale = scale
        self.tracks = {read_source(track, "mixture").double().sum().item(): track for track in tracks}

    def __call__(self, waveform, sample_rate_hz):
        track = self.tracks[waveform.double().sum().item()]
        return {target: self.scale * read_source(track, target) for target in self.targets}


@pytest.fixture
def model(tmp_path):
    """A folder that passes for a saved model."""
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("hparams.yaml", "weights.safetensors"):
        (folder / name).touch()
    return folder


def use(monkeypatch, separator):
    monkeypatch.setattr(Separator, "from_pretrained", lambda *_: separator)


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
    mixture, vocals = (read_source(tracks[0], name) for name in ("mixture", "vocals"))
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
    estimates = torch.stack([read_source(track, source) for source in SOURCES])
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


def test_a_target_beyond_the_four_is_measured_in_the_mixture_of_all_stems(tmp_path, model, monkeypatch):
    stems = ("vocals", "drums", "guitar", "piano")
    folder = song_folder(tmp_path, sources=stems) / "test" / "Some Song"
    (folder / "mixture.wav").unlink()
    expected = usdr(sum_of(folder, "guitar"), sum_of(folder, *stems))
    use(monkeypatch, Mixture(["guitar", "harp", "drums"]))
    evaluation = evaluate(model, tmp_path, Settings(targets=["guitar"]))
    assert [score.usdr_db for score in evaluation.scores] == [pytest.approx(expected, abs=1e-5)]
    expected = usdr(sum_of(folder, "drums"), sum_of(folder, *stems))
    evaluation = evaluate(model, tmp_path, Settings(targets=["drums"]))  # in the same mixture
    assert [score.usdr_db for score in evaluation.scores] == [pytest.approx(expected, abs=1e-5)]
    (model / "config.yaml").write_text(f"data: {{roots: ['{tmp_path}'], sources: [guitar, piano]}}")
    expected = usdr(sum_of(folder, "guitar"), sum_of(folder, "guitar", "piano"))
    evaluation = evaluate(model, settings=Settings(targets=["guitar"]))
    assert [score.usdr_db for score in evaluation.scores] == [pytest.approx(expected, abs=1e-5)]


def sum_of(folder, *stems):
    return sum(torch.from_numpy(soundfile.read(folder / f"{stem}.wav")[0].T) for stem in stems)


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


def test_museval_s_own_numbers_stand_beside_ours(tmp_path, model, monkeypatch, capsys):
    """On noises, of which one is silent in the second of four seconds."""
    use(monkeypatch, Mixture(("drums", "other")))
    folder = song_folder(tmp_path / "data", frames=33_000, rate_hz=8_000)
    drums = folder / "test" / "Some Song" / "drums.wav"
    samples, _ = soundfile.read(drums)
    samples[8_000:16_000] = 0
    soundfile.write(drums, samples, 8_000, subtype="FLOAT")
    command.main(["-d", str(model), "-i", str(folder), "--museval", "--no-report"])

    evaluation = read_results(model)
    for score in evaluation.scores:
        assert tuple(score.further) == MUSEVAL
        assert score.further["museval_sdr_db"] == pytest.approx(score.csdr_db, abs=1e-3)
        assert score.further["museval_isr_db"] > score.further["museval_sdr_db"]
    content = json.loads((model / "test.json").read_text())
    for target in evaluation.targets:
        summary = content["summary"][target]
        assert summary["museval_sdr_db"] == pytest.approx(summary["csdr_db"], abs=1e-3)
    assert content["versions"]["museval"] == "0.4.1"
    with (model / "test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [[float(row[name]) for name in MUSEVAL] for row in rows] == [
        [*s.further.values()] for s in evaluation.scores
    ]
    lines = (model / "test.log").read_text().splitlines()
    headings = "the mixture's cSDR | museval SDR | museval ISR | museval SIR | museval SAR   (dB)"
    assert any(line.endswith(headings) for line in lines)
    begin = ("Some Song | ", "drums | ", "other | ", "mean | ")
    assert sum(line.startswith(begin) for line in lines) == 5 + 3  # three of intervals
    shown = capsys.readouterr().out.splitlines()
    assert next(line.split() for line in shown if "our cSDR" in line)[1:5] == ["our", "cSDR", "museval", "SDR"]
    ours, theirs = next(line.split()[1:3] for line in reversed(shown) if line.strip().startswith("drums"))
    assert ours == theirs == decibels(evaluation.of("drums")[0].csdr_db, digits=3)


def test_museval_s_numbers_depend_on_the_targets_that_are_measured_together(tmp_path):
    tracks = songs_of([song_folder(tmp_path, rate_hz=8_000)], "test")
    alone = measure(Mixture(("drums",)), tracks, further=[museval_scores])[0].further
    together = measure(Mixture(("drums", "bass")), tracks, further=[museval_scores])[0].further
    assert alone["museval_sdr_db"] == pytest.approx(together["museval_sdr_db"], abs=1e-6)
    assert alone["museval_sir_db"] > 100 > 5 > together["museval_sir_db"]


def test_further_metrics_are_columns_only_where_they_were_measured(tmp_path):
    numbers = (1.0, 2.0, -3.0, -4.0)
    scores = (
        Score("A", "bass", *numbers),
        Score("B", "bass", *numbers, {"si_sdr_db": 5.5, "museval_sdr_db": math.nan}),
    )
    scores += (Score("C", "bass", *numbers, {"si_sdr_db": 2.5}),)
    write_results(tmp_path, Evaluation({"model": "m"}, ("bass",), scores[:1]))
    assert (tmp_path / "test.csv").read_text().splitlines() == [
        "song,target,usdr_db,csdr_db,mixture_usdr_db,mixture_csdr_db",
        "A,bass,1.0,2.0,-3.0,-4.0",
    ]
    assert "further" not in (tmp_path / "test.json").read_text()
    assert read_results(tmp_path).scores == scores[:1]
    write_results(tmp_path, Evaluation({"model": "m"}, ("bass",), scores))
    assert (tmp_path / "test.csv").read_text().splitlines() == [
        "song,target,usdr_db,csdr_db,mixture_usdr_db,mixture_csdr_db,si_sdr_db,museval_sdr_db",
        "A,bass,1.0,2.0,-3.0,-4.0,,",
        "B,bass,1.0,2.0,-3.0,-4.0,5.5,nan",
        "C,bass,1.0,2.0,-3.0,-4.0,2.5,",
    ]
    evaluation = read_results(tmp_path)
    assert [tuple(score.further) for score in evaluation.scores] == [
        (),
        ("si_sdr_db", "museval_sdr_db"),
        ("si_sdr_db",),
    ]
    assert summarise(evaluation)["bass"]["si_sdr_db"] == 4.0
    assert math.isnan(summarise(evaluation)["bass"]["museval_sdr_db"])
    assert "A | bass | 1.00 | 2.00 | −3.00 | −4.00 | – | –\n" in (tmp_path / "test.log").read_text()


def test_results_of_before_further_metrics_are_read():
    assert {score.row().keys() == {"song", "target", *METRICS} for score in read_results(SHIPPED, "valid").scores} == {
        True
    }


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


def test_the_songs_that_a_run_held_out_are_measured_apart(musdb_hq, model, monkeypatch):
    use(monkeypatch, Mixture())
    (model / "config.yaml").write_text(
        f"data: {{roots: ['{musdb_hq}'], valid: ['Tiny Band - Dune'], held_out: ['Tiny Band - Birch']}}"
    )
    assert evaluate(model, musdb_hq, split="held-out", report=False).songs == ["Tiny Band - Birch"]
    assert (model / "held-out.log").is_file()
    trained = evaluate(model, musdb_hq, split="train", report=False).songs
    assert {"Tiny Band - Birch", "Tiny Band - Dune"}.isdisjoint(trained)
    assert len(trained) == 4


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


def test_a_dataset_without_the_subset_gets_a_remedy(tmp_path, model, monkeypatch):
    use(monkeypatch, Mixture())
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
    truth, mixture = (read_source(tracks[1], name) for name in ("bass", "mixture"))
    estimate = separator(mixture)["bass"]
    assert evaluation.of("bass")[1].usdr_db == pytest.approx(usdr(truth, estimate), abs=1e-3)
    assert csdr(truth[None], estimate[None], 44_100, 44_100).shape[1] == tracks[1].frames // 44_100


def test_the_script_names_a_mistake_in_one_line(run_script, tmp_path):
    done = run_script("evaluate", "-d", tmp_path / "nothing")
    assert done.returncode == 2
    assert done.stderr.startswith("error: no model at")
    assert done.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_first_song(musdb_hq, model, tmp_path, monkeypatch):
    use(monkeypatch, Oracle(songs_of([musdb_hq], "test"), math.nan))  # measuring a song would fail
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write to the folder `.*file`: it is a file: choose another \(-o\)"):
        evaluate(model, musdb_hq, output_dir=tmp_path / "file")


def test_results_go_to_another_folder(musdb_hq, model, tmp_path, monkeypatch):
    use(monkeypatch, Oracle(songs_of([musdb_hq], "test"), 0.9, ("drums",)))
    before = {path.name for path in model.iterdir()}
    evaluation = evaluate(model, musdb_hq, output_dir=tmp_path / "new" / "results")
    assert {path.name for path in model.iterdir()} == before
    assert read_results(tmp_path / "new" / "results") == evaluation


def counting(separator):
    """The same separator, and the list of the lengths that it separated."""
    calls = []
    inner = type(separator).__call__

    def call(self, waveform, sample_rate_hz):
        calls.append(waveform.shape[-1])
        return inner(self, waveform, sample_rate_hz)

    separator.__class__ = type("Counting", (type(separator),), {"__call__": call})
    return separator, calls


def test_a_killed_evaluation_goes_on_and_ends_with_the_same_numbers(musdb_hq, model, tmp_path, monkeypatch):
    oracle = Oracle(songs_of([musdb_hq], "train"), 0.9)
    use(monkeypatch, oracle)
    whole = evaluate(model, musdb_hq, subset="train", output_dir=tmp_path / "whole", report=False)

    killed, calls = counting(Oracle(songs_of([musdb_hq], "train"), 0.9))
    use(monkeypatch, killed)
    monkeypatch.setattr(Gallery, "offer", interrupted_after(killed_at := 9))
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, musdb_hq, subset="train", output_dir=tmp_path / "killed")
    monkeypatch.undo()
    assert len(calls) == 1 + (killed_at - 1) // 4
    use(monkeypatch, killed)
    calls.clear()
    again = evaluate(model, musdb_hq, subset="train", output_dir=tmp_path / "killed", report=False)
    assert again.scores == whole.scores
    assert len(calls) == len(whole.songs) - 2  # those that were not whole
    names = {path.name for path in (tmp_path / "killed").iterdir()}
    assert names == {f"train_and_valid.{kind}" for kind in ("json", "csv", "log")}


def interrupted_after(count):
    offers = []

    def offer(self, *_):
        offers.append(1)
        if len(offers) == count:
            raise KeyboardInterrupt

    return offer


def test_scores_of_another_model_are_not_gone_on_with(musdb_hq, model, tmp_path, monkeypatch):
    use(monkeypatch, Oracle(songs_of([musdb_hq], "test"), 0.9))
    monkeypatch.setattr(Gallery, "offer", interrupted_after(5))
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, musdb_hq, output_dir=tmp_path / "out")
    monkeypatch.undo()
    (model / "weights.safetensors").write_bytes(b"other weights")
    use(monkeypatch, Oracle(songs_of([musdb_hq], "test"), 0.5))
    evaluation = evaluate(model, musdb_hq, output_dir=tmp_path / "out", report=False)
    assert {round(score.usdr_db, 2) for score in evaluation.scores} == {6.02}


@pytest.mark.parametrize("other", ["targets", "folder"])
def test_scores_of_fewer_targets_or_other_songs_are_not_gone_on_with(musdb_hq, model, tmp_path, monkeypatch, other):
    folder = shutil.copytree(musdb_hq, tmp_path / "elsewhere" / musdb_hq.name) if other == "folder" else musdb_hq
    settings = Settings(targets=["bass"] if other == "targets" else None)
    use(monkeypatch, Oracle(songs_of([musdb_hq], "test"), 0.9))
    monkeypatch.setattr(Gallery, "offer", interrupted_after(2 if other == "targets" else 5))
    with pytest.raises(KeyboardInterrupt):
        evaluate(model, folder, settings, output_dir=tmp_path / "out")
    monkeypatch.undo()
    use(monkeypatch, Oracle(songs_of([musdb_hq], "test"), 0.5))
    evaluation = evaluate(model, musdb_hq, output_dir=tmp_path / "out", report=False)
    assert [round(score.usdr_db, 2) for score in evaluation.scores] == [6.02] * 8


def test_results_of_other_songs_do_not_replace_each_other(musdb_hq, model, monkeypatch):
    use(monkeypatch, Oracle([*songs_of([musdb_hq], "test"), *songs_of([musdb_hq], "train")], 0.9, ("bass",)))
    test, valid = evaluate(model, musdb_hq), evaluate(model, musdb_hq, split="valid")
    assert read_results(model) == test
    assert read_results(model, "valid") == valid
    assert {"test.log", "valid.log", "report.html", "report_valid.html"} <= {path.name for path in model.iterdir()}


def test_how_it_was_measured_is_recorded(comb_musdb, tmp_path):
    write_hparams(tmp_path / "model", HPARAMS)
    write_weights(tmp_path / "model" / "weights.safetensors", build_network(HPARAMS).state_dict())
    given = ["-d", str(tmp_path / "model"), "-i", str(comb_musdb), "--device", "cpu", "--no-report"]
    command.main([*given, "--metrics", "si-sdr", "bsseval", "--precision", "bf16", "--hop", "0.75", "-t", "bass"])
    content = json.loads((tmp_path / "model" / "test.json").read_text())
    assert content["precision"] == "bfloat16"
    assert content["windows"] == "3 s, hop 0.75 s, triangle, 1 shifts"
    assert content["targets"] == ["bass"]
    assert content["dataset"] == "musdb18hq"
    assert {"si_sdr_db", "isr_db", "sir_db", "sar_db"} < content["scores"][0].keys()
    for wrong, line in (
        (["--metrics", "pesq"], "`--metrics` pesq: known are si-sdr, bsseval, log-wmse, silence, museval"),
        (["--hop", "9"], "`audio_params.hop_seconds` (=9.0) must be above 0 and at most `window_seconds` (=3.0)"),
        (["-t", "kazoo"], "`targets` (=['kazoo']) must be some of vocals, bass"),
    ):
        with pytest.raises(UserError) as refused:
            command.main([*given, *wrong])
        assert str(refused.value) == line


def test_processes_share_the_songs(comb_musdb, tmp_path):
    """Three songs on two processes score what they score in one, each measured once."""
    write_hparams(tmp_path / "model", HPARAMS)
    write_weights(tmp_path / "model" / "weights.safetensors", build_network(HPARAMS).state_dict())
    options = ["-d", tmp_path / "model", "-i", comb_musdb, "--split", "train", "--device", "cpu", "--no-report", "-o"]
    command.main([*map(str, options), str(tmp_path / "one")])
    several = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    script = PROJECT_DIR / "src" / "evaluate.py"
    words = [*several, script, *options, tmp_path / "two"]
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, two = (read_results(tmp_path / name, "train").scores for name in ("one", "two"))
    assert len(one) == 3 * 2
    assert one == two
    assert not (tmp_path / "two" / ".train.partial").exists()


def test_the_interval_covers_what_resampled_songs_would_give():
    scores = [Score(f"song {i}", "bass", value, value, 0.0, 0.0) for i, value in enumerate([1.0, 2, 3, 4, 5, 6, 7, 8])]
    found = intervals(Evaluation({}, ("bass",), tuple(scores)), "usdr_db")["bass"]
    spread = 1.96 * np.std(range(8)) / 8**0.5
    assert found == pytest.approx((4.5 - spread, 4.5 + spread), abs=0.12)
    alone = intervals(Evaluation({}, ("bass",), tuple(scores[:1])), "usdr_db")["bass"]
    assert all(math.isnan(edge) for edge in alone)
