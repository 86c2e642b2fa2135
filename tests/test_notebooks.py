"""The notebooks run from top to bottom on the data that is there, and are stored without outputs."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[1] / "src" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


def test_both_notebooks_are_there():
    assert [path.name for path in NOTEBOOKS] == ["01_audio_basics.ipynb", "02_musdb18.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_stored_without_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_top_to_bottom(path, monkeypatch):
    monkeypatch.delenv("MUSDB_DIR", raising=False)
    monkeypatch.setenv("PYTHONWARNINGS", "ignore::DeprecationWarning")  # the kernel's own, not the notebook's
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(FOLDER)}})
    client.execute(env=dict(os.environ))
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == {"01_audio_basics": 3, "02_musdb18": 7}[path.stem]
    assert not [output for output in outputs if output.get("name") == "stderr"]
