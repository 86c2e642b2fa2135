"""The registry of models to download: every entry is whole, and the names for people mean what they say."""

import io
import re
from collections import Counter
from pathlib import Path
from statistics import mean

import pytest
from rich.console import Console

from demixer.checkpoints.listing import names_table, registry_table
from demixer.checkpoints.locating import shipped_models
from demixer.checkpoints.registry import REGISTRY, UNKNOWN, Entry, read_registry
from demixer.errors import UserError
from demixer.paths import DEFAULT_MODEL, LIVE_MODEL
from demixer.sources import SOURCES

KNOWN = read_registry()
ENTRIES = pytest.mark.parametrize("entry", KNOWN.models.values(), ids=KNOWN.models)
SUM_DIGITS = {"md5": 32, "sha256": 64}
ARCHITECTURES = {"bsrnn", "bs_roformer", "mel_band_roformer"}


@ENTRIES
def test_an_entry_is_whole(entry: Entry) -> None:
    assert entry.architecture in ARCHITECTURES, "this program has no such network"
    assert entry.page.startswith("https://")
    assert len(set(entry.targets)) == len(entry.targets)
    assert set(entry.scores_db) <= set(entry.targets)
    assert {"files", "targets", "licence"} <= set(entry.read_in), "where it was read is part of a figure"
    assert bool(entry.scores_db) == bool(entry.measured) == ("scores" in entry.read_in)
    assert entry.verified is False, "nobody has downloaded one here yet: whoever has may say so, and change this"


@ENTRIES
def test_its_files_can_be_fetched_and_checked(entry: Entry) -> None:
    names = [Path(file.name) for file in entry.files]
    assert len({name.suffix for name in names}) == len(names), "a download keeps them apart by that"
    assert [name.suffix for name in names] in ([".zip"], [".ckpt", ".yaml"])
    for file in entry.files:
        assert file.url.startswith("https://")
        assert file.name in file.url
        for name, digits in SUM_DIGITS.items():
            known = getattr(file, name)
            assert known is None or re.fullmatch(rf"[0-9a-f]{{{digits}}}", known)
    assert entry.files[0].md5 or entry.files[0].sha256, "no weights without a sum"
    assert sum(file.bytes for file in entry.files) == entry.bytes > 40e6


def test_no_name_and_no_address_is_there_twice() -> None:
    keys = re.findall(r"^  ([\w-]+):", REGISTRY.read_text().split("\nmodels:")[1], re.MULTILINE)
    assert keys == list(KNOWN.models), "a YAML reader keeps the last of two silently"
    assert not set(KNOWN.models) & set(KNOWN.names)
    urls = Counter(file.url for entry in KNOWN.models.values() for file in entry.files)
    assert set(urls.values()) == {1}


@pytest.mark.parametrize("called", KNOWN.names)
def test_a_name_for_people_leads_to_a_model(called: str) -> None:
    meant = KNOWN.meaning(called)
    assert meant is KNOWN.names[called]
    assert meant.model in {*KNOWN.models, *shipped_models()}
    assert set(meant.stems) <= set(KNOWN.models[meant.model].targets if meant.stems else ())


def test_the_names_for_people_are_those_of_the_manual() -> None:
    assert list(KNOWN.names) == ["fast", "best", "six", "karaoke", "kit", "live"]
    assert KNOWN.meaning("fast").model == DEFAULT_MODEL
    assert KNOWN.meaning("live").model == LIVE_MODEL
    assert shipped_models()[0] == DEFAULT_MODEL  # which the page and its API take, unless they are told
    assert set(KNOWN.models[KNOWN.meaning("six").model].targets) == {*SOURCES, "guitar", "piano"}


def test_best_is_the_best_of_a_known_licence() -> None:
    best = KNOWN.models[KNOWN.meaning("best").model]
    others = [one for one in KNOWN.models.values() if set(one.targets) == set(SOURCES) and one.licence != UNKNOWN]
    assert best in others
    assert {one.measured for one in others} == {best.measured}, "else they do not compare"
    assert max(others, key=lambda one: mean(one.scores_db.values())) is best


def test_a_name_of_the_registry_means_its_model() -> None:
    assert KNOWN.meaning("vocals-kim").model == "vocals-kim"
    assert KNOWN.meaning("nothing") is None
    assert KNOWN.near("karoake").startswith("did you mean karaoke or ")
    assert KNOWN.near("vocals-kimm").startswith("did you mean vocals-kim")
    assert KNOWN.near("§").startswith("known are fast, best, six")


def printed(*tables: object) -> str:
    screen = io.StringIO()
    Console(width=80, file=screen).print(*tables)
    return screen.getvalue()


def test_the_list_says_what_a_choice_needs() -> None:
    text = printed(names_table(KNOWN), registry_table(KNOWN, here=["guitar-becruily"]))
    for entry in KNOWN.models.values():
        row = next(line for line in text.splitlines() if re.match(rf"\W*{entry.name} ", line) and "_" not in line[:4])
        assert ("✓" in row) == (entry.name == "guitar-becruily")
    assert "unknown" in text
    assert "GPL-3.0" in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("stem", "some", "others"), [("guitar", "six-stems-sw", "vocals-kim"), ("CROWD", "crowd-aufr33", "best")]
)
def test_the_list_is_of_the_models_with_a_stem(stem: str, some: str, others: str) -> None:
    text = printed(registry_table(KNOWN, stem=stem))
    assert some in text
    assert others not in text


def test_a_stem_of_no_model_is_a_line() -> None:
    with pytest.raises(UserError, match=r"no model separates 'zither': there are accordion, .*woodwind"):
        registry_table(KNOWN, stem="zither")
