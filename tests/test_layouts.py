"""Public checkpoints of other implementations: recognised, equal in what they compute, and unable to run code."""

import pickle
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from foreign import Amanteur, Magron, amanteur_hparams, magron_checkpoint
from omegaconf import OmegaConf

from demixer.checkpoints.locating import locate_model
from demixer.errors import UserError
from demixer.separation.separator import Separator
from demixer.sources import SOURCES

WIDTHS = [2, 3, 2, 26]
FRAMES, HOP = 9, 16
WINDOW = (FRAMES - 1) * HOP
LAYOUTS = ("magron-bsrnn", "magron-obsrnn", "magron-obsrnn-simo", "amanteur-vocals", "crlandsc-bass")


def spectrum(frames: int = 7, seed: int = 1) -> torch.Tensor:
    return torch.randn(2, 2, 33, frames, dtype=torch.complex64, generator=torch.Generator().manual_seed(seed))


def write_magron(file: Path, targets: object = "vocals", **network: object) -> Magron:
    file.parent.mkdir(parents=True, exist_ok=True)
    reference = Magron(WIDTHS, targets=len(targets) if isinstance(targets, list) else 1, **network)
    torch.save(magron_checkpoint(reference, targets), file)
    return reference


def write_amanteur(file: Path, transposed: bool = True, **sections: object) -> Amanteur:
    reference = Amanteur(WIDTHS, FRAMES, transposed=transposed)
    state = reference.state_dict()
    content = state if transposed else {"state_dict": {f"model.{key}": value for key, value in state.items()}}
    file.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, file)
    (file.parent / "hparams.yaml").write_text(yaml.safe_dump(amanteur_hparams(**sections)))
    return reference


@pytest.mark.shared
@pytest.mark.parametrize("name", LAYOUTS)
def test_published_layouts_compute_what_their_own_code_computes(shared_dir: Path, name: str) -> None:
    folder = shared_dir / "interop" / name
    separator = Separator.from_pretrained(folder, device="cpu", precision="fp32")
    recorded = np.load(folder / "io.npz")
    expected = torch.from_numpy(recorded["estimates"])
    with torch.inference_mode():
        estimates = separator.network(torch.from_numpy(recorded["mixture"])).reshape(expected.shape)
    difference = estimates - expected
    assert difference.abs().max() <= 1e-5
    assert difference.norm() <= 1e-4 * expected.norm()


@pytest.mark.parametrize(
    ("targets", "network"),
    [
        ("vocals", {}),
        ("bass", {"heads": 2, "tac": "prelu"}),
        (["vocals", "bass", "drums", "other"], {"heads": 1, "tac": "tanh"}),
    ],
)
def test_magron_layout_equals_its_reference(tmp_path: Path, targets: object, network: dict) -> None:
    reference = write_magron(tmp_path / "any.ckpt", targets, **network)
    separator = Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")
    assert separator.targets == ((targets,) if isinstance(targets, str) else tuple(targets))
    assert separator.sample_rate_hz == 8000
    mixture = spectrum()
    torch.testing.assert_close(separator.network.bandsplitrnn(mixture), reference(mixture), atol=1e-5, rtol=1e-4)


def test_older_magron_files_have_one_nameless_masker(tmp_path: Path) -> None:
    reference = Magron(WIDTHS)
    content = magron_checkpoint(reference, "drums")
    state = content["state_dict"]
    content["state_dict"] = {key.removeprefix("maskers.0."): value for key, value in state.items()}
    torch.save(content, tmp_path / "drums.ckpt")
    network = Separator.from_pretrained(tmp_path / "drums.ckpt", device="cpu", precision="fp32").network
    torch.testing.assert_close(network.bandsplitrnn(spectrum()), reference(spectrum()), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("transposed", [True, False], ids=["amanteur", "crlandsc"])
def test_fixed_frame_layouts_equal_their_reference(tmp_path: Path, transposed: bool) -> None:
    file = tmp_path / ("bass.pt" if transposed else "bass.ckpt")
    reference = write_amanteur(file, transposed)
    network = Separator.from_pretrained(file, device="cpu", precision="fp32").network
    assert network.window_samples == WINDOW
    mixture = spectrum(FRAMES)
    expected = reference(mixture).unsqueeze(1)
    torch.testing.assert_close(network.bandsplitrnn(mixture), expected, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match="has 8 frames: this network takes 9 only"):
        network.bandsplitrnn(spectrum(8))


@pytest.mark.parametrize("length", [1, 100, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 77])
@pytest.mark.parametrize("channels", [1, 2])
def test_fixed_frame_layouts_work_at_any_length(tmp_path: Path, length: int, channels: int) -> None:
    seconds = WINDOW / 8000
    write_amanteur(
        tmp_path / "vocals.pt", audio_params={"win_size": seconds, "hop_size": 0.5 * seconds, "window": None}
    )
    separator = Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")
    song = torch.randn(channels, length, generator=torch.Generator().manual_seed(0))
    stem = separator(song)["vocals"]
    assert stem.shape == song.shape
    assert torch.isfinite(stem).all()
    if length <= WINDOW:
        padded = torch.nn.functional.pad(song, (0, WINDOW - length)).unsqueeze(0)
        torch.testing.assert_close(stem, separator.network(padded)[0, 0, :, :length], atol=1e-6, rtol=1e-4)
    with pytest.raises(ValueError, match=f"has {WINDOW + 1} samples: this network takes {WINDOW}"):
        separator.network(torch.zeros(1, 2, WINDOW + 1))


@pytest.mark.parametrize(
    ("file", "sections", "target"),
    [
        ("model/vocals.pt", {}, "vocals"),
        ("bsrnn-drums/last.pt", {}, "drums"),
        ("x/y.pt", {"audio_params": {"target": "bass"}}, "bass"),
        ("x/vocals.pt", {"test_dataset": {"target": "other"}}, "other"),
    ],
)
def test_the_target_is_in_the_settings_or_in_the_name(tmp_path: Path, file: str, sections: dict, target: str) -> None:
    write_amanteur(tmp_path / file, **sections)
    assert Separator.from_pretrained(tmp_path / file, device="cpu", precision="fp32").targets == (target,)


def test_a_nameless_target_is_an_error(tmp_path: Path) -> None:
    write_amanteur(tmp_path / "x" / "best.pt")
    with pytest.raises(UserError, match="name it after one of"):
        Separator.from_pretrained(tmp_path / "x" / "best.pt", device="cpu", precision="fp32")


def test_audio_params_come_from_the_file(tmp_path: Path) -> None:
    write_amanteur(tmp_path / "vocals.pt", audio_params={"win_size": 3, "hop_size": 0.5, "batch_size": 2})
    params = Separator.from_pretrained(tmp_path, device="cpu", precision="fp32").audio_params
    assert (params.window_seconds, params.hop_seconds, params.batch_size) == (3.0, 0.5, 2)
    evaluation = OmegaConf.create({"segment_len": 6, "overlap": 0.5, "hop_size": None})
    torch.save(magron_checkpoint(Magron(WIDTHS), "bass", cfg_eval=evaluation), tmp_path / "bass.ckpt")
    params = Separator.from_pretrained(tmp_path / "bass.ckpt", device="cpu", precision="fp32").audio_params
    assert (params.window_seconds, params.hop_seconds) == (9.0, 6)


def test_a_folder_of_one_checkpoint_per_target_is_one_model(tmp_path: Path) -> None:
    references = {name: write_magron(tmp_path / f"{name}.ckpt", name) for name in ("bass", "other", "vocals", "drums")}
    separator = Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")
    assert separator.targets == SOURCES
    mixture = torch.randn(1, 2, 500)
    together = separator.network(mixture)
    for i, name in enumerate(separator.targets):
        alone = Separator.from_pretrained(tmp_path / f"{name}.ckpt", device="cpu", precision="fp32").network
        torch.testing.assert_close(together[:, i], alone(mixture)[:, 0], atol=1e-6, rtol=1e-4)
        expected = references[name](alone.spectrogram(mixture))
        torch.testing.assert_close(alone.bandsplitrnn(alone.spectrogram(mixture)), expected, atol=1e-4, rtol=1e-3)
    assert locate_model(tmp_path) == (tmp_path, tmp_path)


def test_checkpoints_that_are_not_one_model_are_refused(tmp_path: Path) -> None:
    write_magron(tmp_path / "a.ckpt", "vocals")
    write_magron(tmp_path / "b.ckpt", "vocals")
    with pytest.raises(UserError, match="several checkpoints here estimate vocals"):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")
    torch.save(magron_checkpoint(Magron(WIDTHS), "bass", sample_rate=44100), tmp_path / "b.ckpt")
    with pytest.raises(UserError, match=r"their sample rates differ .*44100.*8000"):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")


def test_missing_and_left_over_keys_are_listed(tmp_path: Path) -> None:
    content = magron_checkpoint(Magron(WIDTHS, heads=1), "vocals")
    del content["state_dict"]["separator.1.band_net.proj.bias"]
    content["state_dict"]["separator.0.extra"] = torch.zeros(1)
    torch.save(content, tmp_path / "vocals.ckpt")
    listed = r"1 missing: separator\.1\.band_net\.proj\.bias; 1 left over: separator\.0\.extra"
    with pytest.raises(UserError, match=listed):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")
    state = Amanteur(WIDTHS, FRAMES).state_dict()
    del state["maskest.mlp.2.mlp.0.bias"]
    torch.save(state, tmp_path / "vocals.pt")
    (tmp_path / "hparams.yaml").write_text(yaml.safe_dump(amanteur_hparams()))
    with pytest.raises(UserError, match=r"1 missing: maskest\.mlp\.2\.mlp\.0\.bias"):
        Separator.from_pretrained(tmp_path / "vocals.pt", device="cpu", precision="fp32")


def test_weights_of_another_shape_are_listed(tmp_path: Path) -> None:
    content = magron_checkpoint(Magron(WIDTHS), "vocals")
    content["state_dict"]["separator.1.time_net.proj.weight"] = torch.zeros(4, 5)
    torch.save(content, tmp_path / "vocals.ckpt")
    with pytest.raises(
        UserError, match=r"of another shape: separator\.1\.time_net\.proj\.weight \(4, 5\) instead of \(4, 16\)"
    ):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mask_ctxt": 2}, r"`hyper_parameters\.mask_ctxt` .=2. is not supported"),
        ({"stereo": "naive"}, r"`hyper_parameters\.stereo` .='naive'."),
        ({"targets": None}, "`hyper_parameters` lack `targets`"),
        ({"targets": "../evil"}, "names of targets"),
        ({"targets": 7}, "names of targets"),
    ],
)
def test_magron_settings_without_counterpart_are_refused(tmp_path: Path, settings: dict, message: str) -> None:
    content = magron_checkpoint(Magron(WIDTHS), "vocals")
    content["hyper_parameters"] |= settings
    torch.save(content, tmp_path / "vocals.ckpt")
    with pytest.raises(UserError, match=message):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")


def test_an_unknown_layout_lists_the_known_ones(tmp_path: Path) -> None:
    torch.save({"encoder.weight": torch.zeros(2)}, tmp_path / "model.pt")
    with pytest.raises(UserError, match=r"magronp/bsrnn .*amanteur.*crlandsc.*keys begin encoder\.weight"):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")


def test_settings_that_are_missing_are_asked_for(tmp_path: Path) -> None:
    write_amanteur(tmp_path / "vocals.pt")
    (tmp_path / "hparams.yaml").unlink()
    with pytest.raises(UserError, match=r"needs the hparams\.yaml"):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")


class Evil:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return Path.touch, (self.marker,)


class EvilSystem(Evil):
    def __reduce__(self) -> tuple:
        import os

        return os.system, (f"touch {self.marker}",)


class EvilEval(Evil):
    def __reduce__(self) -> tuple:
        return eval, (f"open({str(self.marker)!r}, 'w').close()",)


@pytest.mark.parametrize(
    ("kind", "named"), [(Evil, "pathlib|getattr"), (EvilSystem, r"posix\.system|nt\.system"), (EvilEval, "eval")]
)
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "bare pickle"])
def test_no_code_of_a_checkpoint_runs(tmp_path: Path, kind: type, named: str, zipped: bool) -> None:
    marker = tmp_path / "marker"
    content = magron_checkpoint(Magron(WIDTHS), "vocals", callback=kind(marker))
    file = tmp_path / "vocals.ckpt"
    torch.save(content, file, _use_new_zipfile_serialization=zipped)
    reason = rf"names `.*({named})`" if zipped else "it is a bare pickle"
    with pytest.raises(UserError, match=rf"refused .*{reason}"):
        Separator.from_pretrained(file, device="cpu", precision="fp32")
    assert not marker.exists()
    pickle.loads(pickle.dumps(kind(marker)))
    assert marker.exists(), "the file would have created the marker, had its code run"


def test_settings_cannot_run_code_either(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    write_amanteur(tmp_path / "vocals.pt")
    text = f"!!python/object/apply:os.system ['touch {marker}']"
    (tmp_path / "hparams.yaml").write_text(f"model: {text}\n")
    with pytest.raises(UserError, match="cannot read the model's settings"):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")
    assert not marker.exists()


def test_omegaconf_containers_are_read_without_omegaconf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = OmegaConf.create(["bass", "vocals"])
    secret = OmegaConf.create({"path": "${oc.env:HOME}", "nested": {"a": [1, 2.5, None, True]}})
    reference = Magron(WIDTHS, targets=2)
    torch.save(magron_checkpoint(reference, targets, cfg_optim=secret, more=defaultdict(dict)), tmp_path / "s.ckpt")
    monkeypatch.setattr("omegaconf.dictconfig.DictConfig.__setstate__", None, raising=False)
    monkeypatch.setattr("omegaconf.listconfig.ListConfig.__setstate__", None, raising=False)
    separator = Separator.from_pretrained(tmp_path / "s.ckpt", device="cpu", precision="fp32")
    assert separator.targets == ("bass", "vocals")


@pytest.mark.parametrize("content", [b"", b"no pickle", b"PK\x03\x04broken"])
def test_damaged_files_are_one_clear_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "vocals.ckpt").write_bytes(content)
    with pytest.raises(UserError, match=re.escape(f"cannot read the weights `{tmp_path / 'vocals.ckpt'}`")):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")


def test_something_else_than_a_state_dict_is_refused(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="it holds a list"):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")
    torch.save({"BN.0.0.weight": 3, "separator.0.x": "text"}, tmp_path / "list.pt")
    with pytest.raises(UserError, match="something other than tensors"):
        Separator.from_pretrained(tmp_path, device="cpu", precision="fp32")
