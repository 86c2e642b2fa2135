"""Files from strangers that were once believed: each ends in one line, before memory is taken for what it claims."""

import io
import re
import zipfile
from pathlib import Path

import pytest
import torch
import yaml
from foreign import Amanteur, Magron, amanteur_hparams, magron_checkpoint

from demixer import AudioParams, Separator
from demixer.checkpoints.plain_yaml import read_yaml
from demixer.checkpoints.torch_file import load_safely
from demixer.errors import UserError, brief, error_line, run
from tests.song_files import TINY_HPARAMS, write_tiny_model

WIDTHS = [2, 3, 2, 26]


def load(path: Path) -> Separator:
    return Separator.from_pretrained(path, device="cpu", precision="fp32")


def with_pickle(file: Path, change) -> None:
    """Rewrite ``data.pkl`` of a checkpoint."""
    stream = io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(stream, "w") as new:
        for entry in old.infolist():
            data = old.read(entry)
            new.writestr(entry.filename, change(data) if entry.filename.endswith("data.pkl") else data)
    file.write_bytes(stream.getvalue())


def magron(folder: Path, **tensors: torch.Tensor) -> Path:
    content = magron_checkpoint(Magron(WIDTHS), "vocals")
    content["state_dict"] |= {key.replace("__", "."): value for key, value in tensors.items()}
    torch.save(content, folder / "vocals.ckpt")
    return folder / "vocals.ckpt"


def test_a_stride_of_zero_takes_no_memory(tmp_path: Path) -> None:
    path = magron(tmp_path, BN__0__1__weight=torch.zeros(1).expand(50_000, 20_000))
    with pytest.raises(UserError, match=r"a tensor in it of shape \(50000, 20000\) has only 1 values"):
        load(path)


def test_tensors_that_share_their_values_take_no_more_than_the_file(tmp_path: Path) -> None:
    values = torch.zeros(500_000)
    torch.save({f"x{number}": values for number in range(10)}, tmp_path / "x.pt")
    with pytest.raises(UserError, match="stand for more than 2 times the bytes"):
        load_safely(tmp_path / "x.pt")


def test_a_record_is_no_longer_than_the_file(tmp_path: Path) -> None:
    torch.save({"x": torch.arange(4.0)}, tmp_path / "x.pt")
    content = bytearray((tmp_path / "x.pt").read_bytes())
    header = content.rindex(b"PK\x01\x02", 0, content.rindex(b"x/data/0"))  # in the directory at the end
    content[header + 20 : header + 24] = (1 << 30).to_bytes(4, "little")  # its size while compressed
    (tmp_path / "x.pt").write_bytes(content)
    with pytest.raises(UserError, match="its records are compressed"):
        load_safely(tmp_path / "x.pt")


def test_a_storage_is_as_large_as_its_record(tmp_path: Path) -> None:
    torch.save({"x": torch.arange(4.0)}, tmp_path / "x.pt")
    assert load_safely(tmp_path / "x.pt")["x"].tolist() == [0, 1, 2, 3]
    with_pickle(tmp_path / "x.pt", lambda data: re.sub(rb"(cpuq.)K\x04", lambda found: found[1] + b"M\x00\x40", data))
    with pytest.raises(UserError, match=r"record `data/0` has 16 bytes instead of 16384 values of 4 bytes"):
        load_safely(tmp_path / "x.pt")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x80\x02junk", "its description is damaged"),
        (b"\x80\x02](h\x00", "its description is damaged"),
        (b"\x80\x02]" + b"r\xff\xff\xff\xff.", "it holds a list"),  # an entry that C's memo takes 64 GB for
        (b"\x80\x05\x96\x00\x00\x00\x00\x01\x00\x00\x00.", "its description is damaged"),  # BYTEARRAY8 of 4 GB
        (b"\x80\x02cbuiltins\nbytearray\nJ\x00\x00\x00\x7f\x85R.", "holds a NoneType"),
        (b"\x80\x02" + b"]" * 100 + b"a" * 99 + b".", "containers lie more than 64 deep"),
        (b"\x80\x02]q\x00h\x00a.", "containers lie more than 64 deep"),  # a list in itself
    ],
)
def test_a_pickle_is_only_data(tmp_path: Path, data: bytes, reason: str) -> None:
    torch.save({}, tmp_path / "x.pt")
    with_pickle(tmp_path / "x.pt", lambda _: data)
    with pytest.raises(UserError, match=reason):
        load(tmp_path / "x.pt")


def test_a_bare_pickle_is_refused_in_words_of_ours(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"\x80\x02junk")
    with pytest.raises(UserError, match="it is a bare pickle") as refused:
        load(tmp_path / "x.pt")
    assert "weights_only" not in str(refused.value)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda x: x[0], r"separator\.1\.time_net\.proj\.weight \(16,\) instead of \(4, 16\)"),
        (lambda x: x.long(), r"1 no floating point numbers: separator\.1\.time_net\.proj\.weight \(int64\)"),
        (lambda x: x / 0, r"infinite values or NaN, first .*sequence\.1\.time\.fc\.weight"),
    ],
)
def test_a_spoilt_tensor_is_named(tmp_path: Path, change, line: str) -> None:
    good = Magron(WIDTHS).state_dict()["separator.1.time_net.proj.weight"]
    with pytest.raises(UserError, match=line):
        load(magron(tmp_path, separator__1__time_net__proj__weight=change(good)))


def test_a_number_in_a_key_counts_nothing_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"the weights lack BN\.4\.0\.weight, and have 99999999"):
        load(magron(tmp_path, BN__99999999__0__weight=torch.zeros(4)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("n_fft", value) for value in (True, "64", [64], 64.5, float("nan"), 10**30)),
        *(("sample_rate", value) for value in (0, float("inf"), {})),
        *(("cfg_eval", value) for value in (7, "x", {"segment_len": "x"}, {"segment_len": 1e308})),
        *(("num_repeat", value) for value in (10**9, -1, "2")),
    ],
)
def test_a_setting_of_another_type_is_named_with_its_value(tmp_path: Path, name: str, value: object) -> None:
    torch.save(magron_checkpoint(Magron(WIDTHS), "vocals", **{name: value}), tmp_path / "vocals.ckpt")
    with pytest.raises(UserError, match=rf"hyper_parameters\.{name}"):
        load(tmp_path / "vocals.ckpt")


def test_the_settings_beside_amanteurs_weights_are_checked(tmp_path: Path) -> None:
    torch.save(Amanteur(WIDTHS, 9).state_dict(), tmp_path / "vocals.pt")
    for section, value, name in (
        ({"audio_params": {"win_size": None, "hop_size": []}}, "[]", "audio_params.hop_size"),
        ({"featurizer": 7}, "7", "featurizer"),
        ({"featurizer": {"direct_transform": {"hop_length": 2}}}, "2", "hop_samples"),
    ):
        (tmp_path / "hparams.yaml").write_text(yaml.safe_dump({**amanteur_hparams(), **section}))
        with pytest.raises(UserError) as refused:
            load(tmp_path / "vocals.pt")
        assert f"`{name}` (={value})" in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        *({"model": {"features": 4, "repeats": repeats}} for repeats in (10**9, True, "1", [1])),
        {"model": {"features": 4, "repeats": 1, "mask": {"hidden_layers": 10**9}}},
        {"model": {"features": 4, "repeats": 1, "norm_eps": float("nan")}},
        {"bands_hz": [[20000, 0.0001]]},
        {"bands_hz": "bands"},
        {"featurizer": [1]},
        {"audio_params": {"window_seconds": 1e9, "hop_seconds": 1e9}},
        {"audio_params": {"window_seconds": 3, "hop_seconds": 1e-6}},
        {"audio_params": {"window_seconds": 1e-9, "hop_seconds": 1e-9}},
        {"audio_params": {"batch_size": 10**6}},
        {"audio_params": {"batch_size": 10**400}},
        {"audio_params": {"batch_size": True}},
    ],
    ids=str,
)
def test_settings_of_our_own_are_bounded(tmp_path: Path, change: dict) -> None:
    folder = write_tiny_model(tmp_path)
    (folder / "hparams.yaml").write_text(yaml.safe_dump({**TINY_HPARAMS, **change}))
    with pytest.raises(UserError) as refused:
        load(folder)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("seconds", [3.0, 11.0])
def test_windows_as_they_are_published_are_allowed(seconds: float) -> None:
    assert AudioParams(window_seconds=seconds, hop_seconds=0.5, batch_size=16).window_seconds == seconds


BOMB = "\n".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 9 if i else ['x'] * 9)}]" for i in range(12))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (BOMB, "stands for more than 20000 values"),
        ("a: &a {<<: [*a, *a]}", "deep in each other"),
        ("[" * 5000, "deep in each other"),
        ("a: " + "9" * 5000, "Exceeds the limit"),
        ("a: 2020-13-45", "month must be in"),
        ("a: !!int ''", "is none"),
        ("x" * 300_000, "larger than 256 kB"),
    ],
)
def test_yaml_stays_small(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match=reason):
        read_yaml(tmp_path / "x.yaml")


def test_an_anchor_that_is_used_twice_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: &a {b: [1, 2]}\nc: *a\n")
    assert read_yaml(tmp_path / "x.yaml") == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}


def test_nothing_in_a_file_steers_the_terminal(tmp_path: Path, capsys) -> None:
    torch.save({"\x1b]0;owned\x07\x1b[2J": torch.zeros(1)}, tmp_path / "x.pt")
    with pytest.raises(SystemExit) as ended:
        run(lambda: load(tmp_path / "x.pt") and None)
    told = capsys.readouterr().err
    assert told.removesuffix("\n").isprintable()
    assert r"\x1b]0;owned\x07\x1b[2J" in told
    assert ended.value.code == 2


def test_what_a_line_quotes_is_short() -> None:
    assert len(brief([["x" * 9999] * 999] * 999)) < 200
    assert brief(1 << 99_999) == "<int>"
    assert error_line(UserError("a\nb\x1b[0m\u202e")) == r"error: a b\x1b[0m\u202e"
