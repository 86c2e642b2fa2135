"""A second call: what it does again and why, what it leaves alone, and what it takes for its own."""

import json
import os
import shutil
from multiprocessing import get_context

import pytest

from demixer import __version__
from demixer.commands import demix
from demixer.errors import UserError
from demixer.songs.catalogue import separate_catalogue
from demixer.songs.console import Console
from demixer.songs.finding import find_songs
from demixer.songs.manifest import MANIFEST_NAME, Entry, Manifest
from demixer.songs.options import Options
from demixer.songs.recipe import Recipe
from tests.song_files import music, read, share_separator, write_song, write_tiny_model

SHARES = {"vocals": 0.7, "other": 0.3}
MINE = b"the only recording of my grandmother"


def separate(inputs, output_dir, params=(), dry_run=False, console=None, **options):
    inputs = inputs if isinstance(inputs, list) else [inputs]
    separator = share_separator(SHARES, **dict(params))
    return separate_catalogue(inputs, output_dir, separator, Options(**options), dry_run=dry_run, console=console)


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.name != MANIFEST_NAME}


def lines(folder):
    return [json.loads(line) for line in (folder / MANIFEST_NAME).read_text().splitlines()]


# What the user wrote


def test_a_file_of_the_user_is_never_replaced(tmp_path, capsys):
    song = write_song(tmp_path / "song.wav", music(1_000))
    (tmp_path / "song_vocals.wav").write_bytes(MINE)
    for _ in range(2):
        assert separate(tmp_path, tmp_path) == 0
        assert (tmp_path / "song_vocals.wav").read_bytes() == MINE
        told = f"`{tmp_path}/song_vocals.wav` is kept: this program did not write it (--overwrite replaces it)"
        assert capsys.readouterr().err == f"note: `{song}`: {told}\n"
    assert files(tmp_path) == {"song.wav", "song_vocals.wav", "song_other.wav"}
    assert read(tmp_path / "song_other.wav").shape == (2, 1_000)
    assert separate(tmp_path, tmp_path, overwrite=True) == 0
    assert read(tmp_path / "song_vocals.wav").shape == (2, 1_000)
    assert read(song).shape == (2, 1_000)


def test_stems_of_another_song_of_the_same_name_are_never_replaced(tmp_path, capsys):
    """``demix b/01.mp3`` after ``demix a/01.mp3``: the first song's stems were lost."""
    first, second = (write_song(tmp_path / album / "01.wav", music(samples)) for album, samples in (("a", 9), ("b", 8)))
    out = tmp_path / "out"
    assert separate(first, out) == separate(second, out) == 0
    told = f"`{out}/01_vocals.wav` is kept: it is of `{first}`, and --name tells them apart (--overwrite replaces it)"
    assert told in capsys.readouterr().err
    assert read(out / "01_vocals.wav").shape == (2, 9)
    first.rename(tmp_path / "a" / "02.wav")  # the stems' own song is gone: theirs is what has its name now
    assert separate(second, out) == 0
    assert read(out / "01_vocals.wav").shape == (2, 8)


def test_a_file_that_appears_meanwhile_is_not_replaced(tmp_path):
    song = write_song(tmp_path / "song.wav", music(1_000))
    separator = share_separator(SHARES)
    network, stem = separator.network, tmp_path / "out" / "song_vocals.wav"

    def meanwhile(windows):
        stem.write_bytes(MINE)
        return network(windows)

    separator.network = meanwhile
    assert separate_catalogue([song], tmp_path / "out", separator, Options()) == 0
    assert stem.read_bytes() == MINE
    assert files(tmp_path / "out") == {"song_vocals.wav", "song_other.wav"}


def test_a_stem_that_the_user_edited_is_kept_whatever_else_is_stale(tmp_path, capsys):
    song = write_song(tmp_path / "song.wav", music(1_000))
    out = tmp_path / "out"
    separate(song, out)
    (out / "song_vocals.wav").write_bytes(MINE)
    capsys.readouterr()
    separate(song, out, clip="clamp")
    captured = capsys.readouterr()
    assert "is kept: it was changed after this program wrote it (--overwrite replaces it)" in captured.err
    assert captured.out.startswith(f"{song} → {out}/song_other.wav (`clip` was rescale, and is clamp)\n")
    assert (out / "song_vocals.wav").read_bytes() == MINE


def test_an_input_is_never_replaced_even_with_overwrite(tmp_path, capsys):
    song = write_song(tmp_path / "song.wav", music(1_000))
    other = write_song(tmp_path / "song_vocals.wav", music(2_000))
    content = other.read_bytes()
    assert separate([song, other], tmp_path, overwrite=True) == 1
    reason = f"a stem of it would take the place of the input `{other}`: choose another folder (-o)"
    assert capsys.readouterr().err == f"error: `{song}`: {reason}\n"
    assert other.read_bytes() == content
    assert files(tmp_path) == {"song.wav", *(f"song_vocals{end}.wav" for end in ("", "_vocals", "_other"))}


# What this program wrote


def test_the_manifest_tells_what_was_done(tmp_path):
    song = write_song(tmp_path / "in" / "album" / "song.wav", music(44_100))
    (tmp_path / "in" / "bad.mp3").write_text("no song")
    assert separate(tmp_path / "in", tmp_path / "out") == 1
    (entry,), (failed,) = lines(tmp_path / "out" / "album"), lines(tmp_path / "out")
    assert (entry["song"], entry["state"], entry["seconds"]) == (str(song), "done", 1.0)
    assert entry["version"] == __version__
    assert entry["source"]["bytes"] == song.stat().st_size
    assert entry["source"]["mtime_ns"] == song.stat().st_mtime_ns
    stem = tmp_path / "out" / "album" / "song_other.wav"
    assert [entry["stems"]["other"][key] for key in ("file", "bytes")] == ["song_other.wav", stem.stat().st_size]
    assert entry["settings"]["clip"] == "rescale"
    assert entry["settings"]["hop_seconds"] == 0.2
    assert (failed["state"], failed["error"]) == ("failed", "it is no audio, or damaged beyond decoding")
    assert failed["stems"] == {}


STALE = {
    "another source": (lambda song: write_song(song, music(2_000)), {}, "its file has changed"),
    "a source of the same size": (lambda song: os.utime(song, ns=(5, 5)), {}, "its file has changed"),
    "another option": (None, {"clip": "clamp"}, "`clip` was rescale, and is clamp"),
    "other windows": (None, {"params": {"hop_seconds": 0.1}}, "`hop_seconds` was 0.2, and is 0.1"),
    "an empty stem": (lambda song: (song.parent / "out/song_other.wav").write_bytes(b""), {}, None),
}


@pytest.mark.parametrize("name", STALE)
def test_what_is_stale_is_made_again_and_why_is_told(tmp_path, capsys, name):
    change, options, reason = STALE[name]
    song = write_song(tmp_path / "song.wav", music(1_000))
    out = tmp_path / "out"
    separate(song, out)
    before = {stem: (out / f"song_{stem}.wav").stat().st_ino for stem in SHARES}
    if change:
        change(song)
    reason = reason or "`song_other.wav` is missing"
    expected = f"{song} → {out}/song_vocals.wav, {out}/song_other.wav"
    capsys.readouterr()
    assert separate(song, out, dry_run=True, **options) == 0
    assert capsys.readouterr().out == f"again ({reason}): {expected}\n"
    assert separate(song, out, **options) == 0
    assert capsys.readouterr().out == f"{expected} ({reason})\n1 separated\n"
    assert all((out / f"song_{stem}.wav").stat().st_ino != inode for stem, inode in before.items())
    assert read(out / "song_other.wav").shape == read(song).shape
    separate(song, out, dry_run=True, **options)
    assert capsys.readouterr().out == f"complete: {song}\n"


def test_another_model_makes_stems_stale_and_the_same_one_elsewhere_does_not(tmp_path, capsys):
    song = write_song(tmp_path / "song.wav", music(3_000))
    first = write_tiny_model(tmp_path / "first")
    shutil.copytree(first, tmp_path / "renamed")
    second = write_tiny_model(tmp_path / "second", seed=1)

    def run(model, *more):
        arguments = [song, "-o", tmp_path / "out", "-c", model, "-d", "cpu", "-t", "vocals", *more]
        assert demix.main([*map(str, arguments)]) == 0
        return capsys.readouterr().out

    run(first)
    stem = read(tmp_path / "out" / "song_vocals.wav")
    assert run(tmp_path / "renamed").startswith("0 separated, 1 were complete")
    assert "(made by another model (`first`))\n1 separated" in run(second)
    assert abs(read(tmp_path / "out" / "song_vocals.wav") - stem).max() > 1e-6
    assert "(made by another model (`second`))\n1 separated" in run(first)
    assert abs(read(tmp_path / "out" / "song_vocals.wav") - stem).max() < 1e-6
    assert "(`precision` was auto, and is fp32)" in run(first, "--precision", "fp32")


def test_an_option_of_a_later_version_makes_nothing_stale_at_its_default(tmp_path):
    song = write_song(tmp_path / "song.wav", music(1_000))
    separate(song, tmp_path / "out")
    (entry,) = lines(tmp_path / "out")
    del entry["settings"]["keep_rate"]
    (tmp_path / "out" / MANIFEST_NAME).write_text(json.dumps(entry) + "\n")
    console = Console()
    separate(song, tmp_path / "out", console=console)
    separate(song, tmp_path / "out", console=console, keep_rate=True)
    assert (console.tally["complete"], console.tally["separated"]) == (1, 1)


def test_earlier_stems_are_no_songs_whatever_the_options(tmp_path):
    write_song(tmp_path / "song.wav", music(1_000))
    expected = {"song.wav"}
    for options in ({"targets": ["vocals"]}, {"targets": ["other"]}, {"two_stems": "other", "format": "flac"}):
        separate(tmp_path, tmp_path, **options)
    expected |= {"song_vocals.wav", "song_other.wav", "song_other.flac", "song_no_other.flac"}
    assert files(tmp_path) == expected
    separate(sorted(tmp_path.glob("*.*a*")), tmp_path, targets=["vocals"])  # as a shell gives `*.wav *.flac`
    assert files(tmp_path) == expected
    separate(tmp_path, tmp_path / "elsewhere", targets=["vocals"])
    assert files(tmp_path / "elsewhere") == {"song_vocals.wav"}
    separate(tmp_path / "song_vocals.wav", tmp_path / "further", targets=["vocals"])  # named, and nothing else
    assert files(tmp_path / "further") == {"song_vocals_vocals.wav"}
    (tmp_path / "song.wav").unlink()
    with pytest.raises(UserError, match="holds nothing but stems that this program wrote"):
        separate(tmp_path, tmp_path / "anew")


@pytest.mark.parametrize("keeps_times", [True, False])
def test_a_folder_that_was_moved_or_copied_is_still_known(tmp_path, keeps_times):
    write_song(tmp_path / "in" / "album" / "song.wav", music(1_000))
    separate(tmp_path / "in", tmp_path / "out")
    shutil.copytree(tmp_path / "out", tmp_path / "copy", copy_function=shutil.copy2 if keeps_times else shutil.copyfile)
    shutil.rmtree(tmp_path / "out")
    console = Console()
    separate(tmp_path / "in", tmp_path / "copy", console=console)
    separate(tmp_path / "in" / "album", tmp_path / "copy" / "album", console=console)
    assert console.tally == {"complete": 2}


# The file itself


@pytest.mark.parametrize(
    "bad",
    ["", "{", "[]", "null", '{"song": 1}', "\x00\xff", '{"stems": {"vocals": {"file": "song_vocals.wav"}}}'],
)
def test_lines_that_are_none_are_passed_over(tmp_path, bad):
    song = write_song(tmp_path / "song.wav", music(1_000))
    separate(song, tmp_path / "out")
    manifest = tmp_path / "out" / MANIFEST_NAME
    whole = manifest.read_text()
    manifest.write_text(f"{bad}\n{whole}{whole[:100]}")  # the last one is cut, as a kill leaves it
    console = Console()
    separate(song, tmp_path / "out", console=console)
    separate(song, tmp_path / "out", console=console, overwrite=True)
    separate(song, tmp_path / "out", console=console)
    assert console.tally == {"complete": 2, "separated": 1}
    assert manifest.read_text().endswith("}\n")


def test_where_no_manifest_can_be_read_or_written_nothing_is_replaced(tmp_path, capsys):
    song = write_song(tmp_path / "song.wav", music(1_000))
    (tmp_path / "out" / MANIFEST_NAME).mkdir(parents=True)
    assert separate(song, tmp_path / "out") == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0] == f"error: `{song}`: its stems cannot be written: Is a directory"
    assert told[1].startswith(f"note: `{tmp_path}/out`: nothing can be recorded there: ")
    assert files(tmp_path / "out") == set()
    (tmp_path / "out" / "song_vocals.wav").write_bytes(MINE)
    (tmp_path / "out" / "song_other.wav").write_bytes(MINE)
    assert separate(tmp_path, tmp_path / "out") == 0
    assert "is kept: this program did not write it" in capsys.readouterr().err


def append_many(folder, number):
    for index in range(50):
        entry = Entry(f"{number}/{index}" + "x" * 5000, "done", "", 0.0, stems={})
        Manifest(folder).append(entry)


def test_processes_that_write_at_once_lose_no_line(tmp_path):
    context = get_context("fork")
    workers = [context.Process(target=append_many, args=(tmp_path, number)) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {line["song"].rstrip("x") for line in lines(tmp_path)} == {f"{n}/{i}" for n in range(3) for i in range(50)}
    assert files(tmp_path) == set()


def test_a_recipe_does_not_hold_what_changes_no_stem():
    recipes = [
        Recipe.of(share_separator(SHARES, batch_size=size), Options(targets=targets, overwrite=overwrite))
        for size, targets, overwrite in [(1, None, False), (4, ["vocals"], True)]
    ]
    assert recipes[0] == recipes[1]


# Names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("{folder}/{track}_{stem}", "album/song_vocals.wav"),
        ("{track}/{stem}", "song/vocals.wav"),
        ("{stem}/{folder}/{track} {{{model}}}", "vocals/album/song {model}.wav"),
        ("{track}.{ext}-{stem}", "song.flac-vocals.wav"),
    ],
)
def test_names_are_a_template(tmp_path, name, expected):
    song = write_song(tmp_path / "in" / "album" / "song.flac", music(1_000), subtype=None)
    recipe = Recipe("model", None, {})
    options = Options(name=name)
    for count in ({"separated": 1}, {"complete": 1}):
        console = Console()
        separate_catalogue(
            [tmp_path / "in"], tmp_path / "out", share_separator(SHARES), options, recipe=recipe, console=console
        )
        assert console.tally == count
    assert read(tmp_path / "out" / expected).shape == read(song).shape
    assert {path for path in files(tmp_path / "out") if path.endswith(".wav")} == {
        expected,
        expected.replace("vocals", "other"),
    }


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("{track}_{sten}", "has the field 'sten': known are track, stem, folder, model, ext"),
        ("{track.parent}_{stem}", "has the field 'track.parent'"),
        ("{track!r}_{stem}", "has the field 'track'"),
        ("{}_{stem}", "has the field ''"),
        ("{track}_{stem", "expected '}' before end of string: write a brace twice to mean it"),
        ("../{track}_{stem}", "must name a file below the output folder"),
        ("/{track}_{stem}", "must name a file below the output folder"),
        ("{track}/{stem}/", "must name a file below the output folder"),
        ("{stem}", "needs the field {track}"),
    ],
)
def test_impossible_templates_are_refused(name, line):
    with pytest.raises(UserError, match="`name` ") as refused:
        Options(name=name)
    assert line in str(refused.value)


def test_names_that_fall_together_cost_a_line_for_each_song(tmp_path):
    for folder in "ab":
        write_song(tmp_path / folder / "song.wav", music(1_000))
    _, refused = find_songs([tmp_path], tmp_path / "out", SHARES, ".wav", "{track}/{stem}")
    assert len(refused) == 2
    _, refused = find_songs([tmp_path], tmp_path / "out", SHARES, ".wav", "{folder}/{track}")
    assert set(refused.values()) == {"its stems would all have one name: `--name` needs the field {stem}"}
