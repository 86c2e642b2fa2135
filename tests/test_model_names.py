"""The names for people after ``-c``, with tiny models on a server of this test in place of the real ones."""

import hashlib
import json
import re
from pathlib import Path

import pytest
import yaml
from song_files import TARGETS, music, write_song, write_tiny_model
from test_download_model import Server, archive, server, write_registry  # noqa: F401

from demixer.checkpoints.locating import HPARAMS_NAME, WEIGHTS_NAME, locate_model
from demixer.commands import demix, download, evaluate
from demixer.errors import UserError
from demixer.page.models import Models
from demixer.separation.separator import Separator


@pytest.fixture
def home(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: F811
    """Where downloads lie; ``best``, ``kit`` (its drums alone) and ``tiny`` are a model of the server."""
    folder = write_tiny_model(tmp_path / "served")
    server.content = archive({name: (folder / name).read_bytes() for name in (HPARAMS_NAME, WEIGHTS_NAME)})
    file = {"name": "x.zip", "url": f"http://127.0.0.1:{server.server_port}/x.zip", "bytes": len(server.content)}
    file["sha256"] = hashlib.sha256(server.content).hexdigest()
    registry = write_registry(tmp_path, file, targets=list(TARGETS))
    content = yaml.safe_load(registry.read_text())
    content["names"] |= {name: {"model": "tiny", "purpose": "tests"} for name in ("best", "kit")}
    content["names"]["kit"]["stems"] = ["drums"]
    registry.write_text(yaml.safe_dump(content))
    monkeypatch.setattr("demixer.checkpoints.registry.REGISTRY", registry)
    monkeypatch.setenv("DEMIXER_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home" / "models"


@pytest.fixture
def song(tmp_path: Path) -> Path:
    return write_song(tmp_path / "song.wav", music(44_100))


def stems_of(*arguments: object) -> list[str]:
    assert demix.main([*map(str, arguments), "-o", "out", "-d", "cpu"]) == 0
    return sorted(file.stem for file in Path("out").glob("*.wav"))


def test_a_name_is_downloaded_when_asked_for_and_once(home: Path, server: Server, song: Path, caplog) -> None:  # noqa: F811
    assert stems_of(song, "-c", "best") == sorted(f"song_{target}" for target in TARGETS)
    assert caplog.messages[0] == "tiny: 1 MB are downloaded from p, licence: MIT"
    assert "sums are unverified" in caplog.messages[1]
    assert locate_model(Path("best")) == (home / "tiny", home / "tiny" / WEIGHTS_NAME)
    stems_of(song, "-c", "tiny", "--overwrite")
    assert len(server.ranges) == 1


def test_a_folder_of_stems_hides_no_model_of_its_name(home: Path, song: Path) -> None:
    """``-c kit -o kit`` worked once: from then on the folder of stems was taken for the model."""
    for _ in range(2):
        assert demix.main([str(song), "-c", "kit", "-o", "kit", "-d", "cpu"]) == 0
    assert [file.name for file in Path("kit").glob("*.wav")] == ["song_drums.wav"]
    assert Separator.from_pretrained("kit", device="cpu").targets == ("drums",)
    write_tiny_model(Path("kit"))
    assert Separator.from_pretrained("kit", device="cpu").targets == TARGETS


def test_a_name_may_mean_some_of_the_stems(home: Path, song: Path) -> None:
    assert Separator.from_pretrained("kit", device="cpu").targets == ("drums",)
    assert Separator.from_pretrained("tiny", device="cpu").targets == TARGETS
    assert stems_of(song, "-c", "best", "--then", "drums=kit", "-t", "drums_drums", "bass") == [
        "song_bass",
        "song_drums_drums",
    ]


def test_names_go_into_a_mean(home: Path, song: Path) -> None:
    assert stems_of(song, "-c", "best", "-c", "kit", "--weights", "1", "2") == sorted(f"song_{one}" for one in TARGETS)


def test_a_model_of_that_name_in_the_folder_goes_first(home: Path, server: Server, tmp_path: Path) -> None:  # noqa: F811
    own = write_tiny_model(tmp_path / "kit")
    assert locate_model(Path("kit"))[0].resolve() == own
    assert Separator.from_pretrained("kit", device="cpu").targets == TARGETS
    assert server.ranges == []


def test_names_are_measured(home: Path, comb_musdb: Path, tmp_path: Path, capsys) -> None:
    evaluate.main(["-d", "best", "-i", str(comb_musdb), "-o", str(tmp_path / "results"), "--no-report", "-t", "bass"])
    assert "bass" in capsys.readouterr().out
    assert list((tmp_path / "results").iterdir())


def test_the_page_offers_names(home: Path) -> None:
    models = Models(["best", "kit"], "cpu")
    assert models.names == ["best", "kit"]
    assert models.load("kit").targets == ("drums",)


def test_a_wrong_name_has_its_nearest(home: Path, song: Path) -> None:
    with pytest.raises(UserError, match=r"no model at `besst`: give a run's folder, .*; did you mean best\?"):
        demix.main([str(song), "-c", "besst"])


def test_what_the_server_refuses_leaves_nothing(home: Path, server: Server, song: Path) -> None:  # noqa: F811
    server.status = 404
    with pytest.raises(UserError, match="answers 404"):
        demix.main([str(song), "-c", "best"])
    assert [file.name for file in home.iterdir() if not file.name.startswith(".tiny.")] == []
    assert not Path("out").exists()


@pytest.mark.parametrize("options", [[], ["--quiet"], ["--json"], ["-c", "fast"]])
def test_a_first_run_says_once_that_best_exists(home: Path, song: Path, caplog, capsys, options: list[str]) -> None:
    stems_of(song, "--end", "0.2", *options)
    told = [message for message in caplog.messages if "-c best" in message]
    assert len(told) == (not options)
    if "--json" in options:
        assert json.loads(capsys.readouterr().out)["song"]
    stems_of(song, "--end", "0.2", "--overwrite")
    assert len([message for message in caplog.messages if "-c best" in message]) == 1, (
        "said by the first that may say it"
    )


def test_nothing_is_said_of_best_where_it_is_here_or_nobody_remembers(home: Path, song: Path, caplog) -> None:
    home.parent.write_text("no folder")
    stems_of(song, "--end", "0.2")
    home.parent.unlink()
    locate_model(Path("best"))
    caplog.clear()
    stems_of(song, "--end", "0.2", "--overwrite")
    assert caplog.messages == []


def test_the_list_marks_what_is_here(home: Path, capsys) -> None:
    lists = [(demix, ["--list-models"]), (demix, ["--list-models", "--stem", "bass"]), (download, [])]
    for command, arguments in lists:
        command.main(arguments)
        assert "✓" not in capsys.readouterr().out
    download.main(["best"])
    assert capsys.readouterr().out == f"{home / 'tiny'}\nnow: demix song.mp3 -c best\n"
    for command, arguments in lists:
        command.main(arguments)
        assert re.search(r"✓ +tiny", capsys.readouterr().out)


def test_stem_goes_with_the_list(song: Path) -> None:
    with pytest.raises(UserError, match="--stem goes with --list-models; -t chooses"):
        demix.main([str(song), "--stem", "guitar"])
