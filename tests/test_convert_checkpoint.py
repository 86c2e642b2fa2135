"""Any known checkpoint, rewritten once: the stems stay, the pickle goes."""

from pathlib import Path

import pytest
import torch
import yaml
from foreign import Amanteur, Magron, amanteur_hparams, magron_checkpoint

from demixer.errors import UserError
from demixer.model.converting import convert
from demixer.separation.separator import Separator

WIDTHS, FRAMES = [2, 3, 2, 26], 9


def write_all(root: Path) -> dict[str, Path]:
    """One model of each layout, and a folder of two networks."""
    files = {"magron": root / "m" / "separator.ckpt", "amanteur": root / "a" / "vocals.pt"}
    files |= {"crlandsc": root / "c" / "bass.ckpt", "folder": root / "two"}
    for folder in ("m", "a", "c", "two"):
        (root / folder).mkdir()
    network = Magron(WIDTHS, targets=2, heads=2, tac="prelu")
    torch.save(magron_checkpoint(network, ["vocals", "bass"]), files["magron"])
    for target in ("vocals", "drums"):
        torch.save(magron_checkpoint(Magron(WIDTHS), target), files["folder"] / f"{target}.ckpt")
    state = Amanteur(WIDTHS, FRAMES).state_dict()
    torch.save(state, files["amanteur"])
    torch.save({"state_dict": {f"model.{key}": value for key, value in state.items()}}, files["crlandsc"])
    for layout in ("amanteur", "crlandsc"):
        (files[layout].parent / "hparams.yaml").write_text(yaml.safe_dump(amanteur_hparams()))
    return files


@pytest.mark.parametrize("layout", ["magron", "amanteur", "crlandsc", "folder"])
def test_converted_and_original_give_equal_stems(tmp_path: Path, layout: str) -> None:
    original = write_all(tmp_path)[layout]
    output = tmp_path / "converted"
    folders = convert(original, output)
    assert folders == ([output / "drums", output / "vocals"] if layout == "folder" else [output])
    names = sorted(file.name for folder in folders for file in folder.iterdir())
    assert names == sorted(["hparams.yaml", "weights.safetensors"] * len(folders))
    before, after = (Separator.from_pretrained(path, device="cpu", precision="fp32") for path in (original, output))
    song = torch.randn(2, 2000, generator=torch.Generator().manual_seed(0))
    stems, expected = after(song), before(song)
    assert stems.keys() == expected.keys()
    assert after.audio_params == before.audio_params
    for target, stem in stems.items():
        torch.testing.assert_close(stem, expected[target], atol=0, rtol=0)
        assert stem.abs().max() > 1e-3


@pytest.mark.shared
@pytest.mark.parametrize("name", ["magron-obsrnn-simo", "amanteur-vocals", "crlandsc-bass"])
def test_public_layouts_convert(tmp_path: Path, shared_dir: Path, run_script, name: str) -> None:
    original = shared_dir / "interop" / name
    if name == "crlandsc-bass":
        result = run_script("convert_checkpoint", original, tmp_path / "out")
        assert result.returncode == 0, result.stderr
    else:
        convert(original, tmp_path / "out")
    before, after = (
        Separator.from_pretrained(path, device="cpu", precision="fp32").network for path in (original, tmp_path / "out")
    )
    mixture = torch.randn(1, 2, 30_000) * 0.1
    with torch.inference_mode():
        torch.testing.assert_close(after(mixture), before(mixture), atol=0, rtol=0)


def test_half_the_size_is_close(tmp_path: Path) -> None:
    original = write_all(tmp_path)["magron"]
    convert(original, tmp_path / "half", half=True)
    whole, half = (
        Separator.from_pretrained(path, device="cpu", precision="fp32").network
        for path in (original, tmp_path / "half")
    )
    mixture = torch.randn(1, 2, 2000)
    assert (half(mixture) - whole(mixture)).norm() < 3e-3 * whole(mixture).norm()


def test_no_folder_is_overwritten(tmp_path: Path) -> None:
    original = write_all(tmp_path)["magron"]
    output = tmp_path / "out"
    output.mkdir()
    (output / "hparams.yaml").write_text("mine")
    with pytest.raises(UserError, match="exists already"):
        convert(original, output)
    assert (output / "hparams.yaml").read_text() == "mine"


def test_what_does_not_fit_writes_nothing(tmp_path: Path, run_script) -> None:
    content = magron_checkpoint(Magron(WIDTHS), "vocals")
    content["state_dict"]["separator.0.time_net.proj.weight"] = torch.zeros(1)
    torch.save(content, tmp_path / "vocals.ckpt")
    result = run_script("convert_checkpoint", tmp_path / "vocals.ckpt", tmp_path / "out")
    assert result.returncode == 2
    assert "of another shape" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()
