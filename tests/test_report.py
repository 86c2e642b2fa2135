"""The page, the strip plots, the excerpts and the comparison behind them."""

import base64
import io
import math
import re
from html.parser import HTMLParser

import pytest
import soundfile
import torch
from PIL import Image

from demixer.errors import UserError
from demixer.evaluation.comparison import compare, sign_test
from demixer.evaluation.gallery import Gallery, loudest_part, mp3_uri
from demixer.evaluation.report import render, write_report
from demixer.evaluation.scores import Evaluation, Score
from demixer.evaluation.strip_plot import Strip, plot, unpile
from demixer.figures.palette import COLORS

VOID = {"meta", "img", "br", "link", "input"}
SVG_LEAVES = {"line", "circle", "path"}
RATE_HZ = 44_100


class Page(HTMLParser):
    """Checks that what is opened is closed, and collects the elements and their text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())

    def all(self, tag, **attributes):
        return [a for t, a in self.elements if t == tag and attributes.items() <= a.items()]


def evaluation(name, usdrs, targets=("vocals", "bass")):
    scores = [
        Score(f"Song <{i}> & more", target, value + shift, value + shift - 1, -5.0, -6.0)
        for i, value in enumerate(usdrs)
        for shift, target in enumerate(targets)
    ]
    return Evaluation({"model": name, "dataset": "d", "subset": "test", "split": None}, targets, tuple(scores))


def tone(hz, seconds, level=0.5):
    time = torch.arange(round(seconds * RATE_HZ), dtype=torch.float64) / RATE_HZ
    return level * torch.sin(2 * math.pi * hz * time).float().expand(2, -1)


def content(uri, kind):
    assert uri.startswith(f"data:{kind};base64,")
    return io.BytesIO(base64.b64decode(uri.partition(",")[2]))


@pytest.fixture(scope="module")
def gallery():
    gallery = Gallery()
    for i, usdr_db in enumerate((3.0, 9.0, 1.0)):
        waveforms = {name: tone(220 * (i + 1), 1) for name in ("mixture", "truth", "estimate")}
        for target in ("vocals", "bass"):
            gallery.offer(f"Song <{i}> & more", target, usdr_db, RATE_HZ, waveforms)
    return gallery


def test_the_page_is_well_formed_and_needs_nothing_else(gallery):
    text = render(evaluation("mine", (3.0, 9.0, 1.0)), gallery)
    page = Page(text)
    assert "http" not in re.sub(r'base64,[^"]*', "", text)
    assert not page.all("link")
    assert all(a["src"].startswith("data:") for t, a in page.elements if "src" in a)
    assert "&lt;1&gt; &amp; more" in text
    assert "<1>" not in text


def test_the_page_holds_every_song_and_the_summary(gallery):
    page = Page(render(evaluation("mine", (3.0, 9.0, 1.0)), gallery))
    for i in range(3):
        assert page.texts.count(f"Song <{i}> & more") == 1
    values = [float(a["data-value"]) for a in page.all("td", **{"class": "number"}) if a.get("data-value")]
    mean_vocals, mean_bass = 13 / 3, 16 / 3
    assert values[:6] == pytest.approx([mean_vocals, -5, mean_vocals + 5, 2, -6, 8])
    assert values[6:9] == pytest.approx([mean_bass, -5, mean_bass + 5])
    assert len(page.all("circle")) == 2 * 2 * 3
    assert len(page.all("path", **{"class": "mixture"})) == 2 * 2
    assert len(page.all("th", **{"aria-sort": "none"})) == 1 + 2 * 2 + 1
    assert "Against" not in " ".join(page.texts)


def test_the_page_plays_the_best_and_the_worst_of_each_target(gallery):
    page = Page(render(evaluation("mine", (3.0, 9.0, 1.0)), gallery))
    cases = [text for text in page.texts if text.startswith(("vocals ·", "bass ·"))]
    assert cases == [f"{target} · Song <{i}> & more" for target in ("vocals", "bass") for i in (1, 2)]
    assert len(page.all("audio")) == len(page.all("img")) == 2 * 2 * 3
    assert all(a["aria-label"] for a in page.all("audio"))
    assert all(a["alt"] for a in page.all("img"))


def test_a_song_that_could_not_be_measured_is_a_dash(gallery):
    scores = (Score("A", "bass", 1.0, math.nan, -5.0, math.nan), Score("B", "bass", 2.0, math.inf, -5.0, -6.0))
    page = Page(
        render(
            Evaluation({"model": "m", "dataset": "d", "subset": "test", "split": None}, ("bass",), scores), Gallery()
        )
    )
    assert "uSDR of 2, cSDR of 1 of 2 songs" in page.texts
    assert "–" in page.texts
    assert not page.all("audio")


def test_two_runs_stand_side_by_side(gallery, tmp_path):
    ours, theirs = evaluation("mine", (3.0, 9.0, 1.0)), evaluation("yours", (2.0, 9.5, -2.0))
    write_report(tmp_path / "report.html", ours, gallery, compare(ours, theirs), theirs)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "Against yours" in page.texts
    assert page.texts.count("+3.00") == page.texts.count("−0.50") == 4  # uSDR and cSDR of two targets
    assert len(page.all("td", **{"class": "number better"})) == 2 * 4
    assert len(page.all("td", **{"class": "number worse"})) == 4


def test_pairs_are_songs_that_both_runs_have():
    ours, theirs = evaluation("mine", (3.0, 9.0, 1.0)), evaluation("yours", (2.0, 9.0), ("bass", "drums"))
    pairs = compare(ours, theirs)
    assert [(pair.target, pair.metric) for pair in pairs] == [("bass", "usdr_db"), ("bass", "csdr_db")]
    assert pairs[0].differences_db == [2.0, 1.0]
    assert (pairs[0].middle_db, pairs[0].wins, pairs[0].losses, pairs[0].p_value) == (1.5, 2, 0, 0.5)
    with pytest.raises(UserError, match=r"`mine` \(test\) and `other` \(test\) have no song and target in common"):
        compare(ours, evaluation("other", (2.0,), ("drums",)))


def test_pairs_leave_out_what_either_run_could_not_measure():
    ours = Evaluation({}, ("bass",), (Score("A", "bass", 1, math.nan, 0, 0), Score("B", "bass", 1, 5, 0, 0)))
    theirs = Evaluation({}, ("bass",), (Score("A", "bass", 1, 2, 0, 0), Score("B", "bass", 1, 2, 0, 0)))
    usdr, csdr = compare(ours, theirs)
    assert (usdr.wins, usdr.losses, usdr.p_value) == (0, 0, 1)
    assert (csdr.songs, csdr.differences_db) == (("B",), [3])


@pytest.mark.parametrize(
    ("wins", "losses", "p"), [(9, 1, 0.021484375), (1, 9, 0.021484375), (5, 5, 1.0), (0, 0, 1.0), (14, 0, 2 / 2**14)]
)
def test_the_sign_test_is_the_exact_two_sided_binomial(wins, losses, p):
    assert sign_test(wins, losses) == p


def test_dots_stand_at_their_values_and_do_not_overlap():
    values = {f"song {i}": value for i, value in enumerate((0.0, 0.01, 0.02, 5.0, -80.0))}
    drawn = plot([Strip("bass", values, middle=0.01, mixture=-5.0)])
    xs = [dot["x"] for dot in drawn["rows"][0]["dots"]]
    assert xs[0] == drawn["zero"]
    assert xs[3] - xs[0] == pytest.approx(xs[0] - drawn["rows"][0]["mixture_x"], abs=0.2)
    assert drawn["beyond"] == 1
    assert min(xs) == xs[4] == 94
    assert [text for _, text in drawn["ticks"]] == ["−20", "−15", "−10", "−5", "0", "5"]
    spots = unpile([10.0] * 5, diameter=4.0, reach=20.0)
    assert [y for _, y in spots] == [0, 4, -4, 8, -8]
    assert plot([Strip("bass", {}, math.nan)])["rows"] == []


def test_the_excerpt_is_where_the_truth_is_loudest():
    song = torch.cat([tone(220, 12, 0.1), tone(220, 10, 0.5), tone(220, 12, 0.2)], dim=1)
    assert loudest_part(song, 10 * RATE_HZ) == slice(12 * RATE_HZ, 22 * RATE_HZ)
    assert loudest_part(song[:, :1000], 10 * RATE_HZ) == slice(0, 1000)
    gallery = Gallery()
    gallery.offer("A", "bass", 1.0, RATE_HZ, {"mixture": song, "truth": song, "estimate": song})
    assert (gallery.best["bass"].start_seconds, gallery.best["bass"].seconds) == (12, 10)
    assert gallery.worst["bass"].waveforms["truth"].untyped_storage().nbytes() == 2 * 10 * RATE_HZ * 4


@pytest.mark.parametrize("rate_hz", [RATE_HZ, 96_000, 22_050])
def test_the_player_s_sound_is_the_excerpt(rate_hz):
    sound = tone(440, 2, 0.25)[:, : 2 * rate_hz]
    samples, decoded_hz = soundfile.read(content(mp3_uri(sound, rate_hz), "audio/mpeg"))
    assert decoded_hz == 44_100
    assert samples.shape[1] == 2
    assert len(samples) / decoded_hz == pytest.approx(sound.shape[-1] / rate_hz, abs=0.1)
    assert samples[5_000:-5_000].std() == pytest.approx(0.25 / math.sqrt(2), rel=0.02)


def rows_of(page):
    """The brightness 0…255 of each row, the lowest first, of each picture of a page."""
    pictures = [Image.open(content(a["src"], "image/webp")).convert("L") for a in page.all("img")]
    return [torch.tensor(list(p.tobytes())).view(p.height, p.width).float().mean(1).flip(0) for p in pictures]


def page_of(rate_hz=RATE_HZ, **waveforms):
    gallery = Gallery()
    gallery.offer("A", "bass", 1.0, rate_hz, waveforms)
    return Page(render(evaluation("mine", (1.0,), ("bass",)), gallery))


@pytest.mark.parametrize(("rate_hz", "marked"), [(RATE_HZ, ["500 Hz", "2 kHz", "8 kHz"]), (8000, ["500 Hz", "2 kHz"])])
def test_a_tone_is_a_line_at_its_mark_in_the_picture(rate_hz, marked):
    """The tones are those of the marks, whatever the sample rate: a tone of f Hz sounds at f · rate / 44.1 kHz."""
    sounds = {name: tone(hz * RATE_HZ / rate_hz, 1) for name, hz in (("mixture", 500), ("truth", 2000))}
    page = page_of(rate_hz, **sounds, estimate=torch.zeros(2, RATE_HZ))
    marks = [float(a["style"].removeprefix("bottom: ").rstrip("%")) for a in page.all("span") if "bottom" in str(a)]
    assert [text for text in page.texts if text in ("500 Hz", "2 kHz", "8 kHz")] == marked * 3
    low, high, silent = rows_of(page)
    for rows, mark in zip((low, high), marks, strict=False):
        assert 100 * (rows.argmax().item() + 0.5) / len(rows) == pytest.approx(mark, abs=0.8)
        assert rows.max() > 190
        assert rows[-40:].max() < 20
    assert silent.max() < 5


def test_pictures_of_a_song_are_on_one_scale():
    loud, soft, faint = rows_of(page_of(mixture=tone(1000, 1), truth=tone(1000, 1, 0.05), estimate=tone(1000, 1, 4e-5)))
    assert loud.max() > soft.max() + 30 > 60
    assert faint.max() < 5  # 82 dB below the mixture


def test_silence_has_pictures_and_sounds():
    page = page_of(**dict.fromkeys(("mixture", "truth", "estimate"), torch.zeros(2, 3000)))
    assert all(rows.max() < 5 for rows in rows_of(page))
    assert all(content(a["src"], "audio/mpeg").read() for a in page.all("audio"))


def test_each_target_has_its_colour_all_over_the_page(gallery):
    targets = ("bass", "strings", "vocals", "guitar", "wind")
    page = Page(render(evaluation("mine", (3.0, 9.0, 1.0), targets), gallery))
    tiles, plots, groups = (
        [a["style"].removeprefix("--c: ") for a in page.all(tag) if "--c: #" in a.get("style", "")]
        for tag in ("li", "g", "th")
    )
    assert tiles == groups == plots[:5] == plots[5:]
    assert len(set(tiles)) == 5
    assert [tiles[i] for i in (0, 2, 3)] == [COLORS[targets[i]] for i in (0, 2, 3)]
