"""Draw the pictures of the README: ``python make_images.py`` rewrites ``images/*.png`` from the example song."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure

from demixer.errors import run
from demixer.figures.architecture import architecture
from demixer.figures.bands import band_tables
from demixer.figures.learning import learning_curves, read_curves
from demixer.figures.methods import methods_over_years, read_methods
from demixer.figures.sound import spectrograms, spectrums, waveforms
from demixer.figures.style import save
from demixer.paths import CONF_DIR, PROJECT_DIR
from demixer.training.runs import model_hparams

sys.path.insert(1, str(PROJECT_DIR))
from example.compose import SAMPLE_RATE_HZ
from example.compose import compose as compose_song

IMAGES_DIR = PROJECT_DIR / "images"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=IMAGES_DIR, help="folder to write to")
    folder = parser.parse_args().output
    for name, figure in pictures():
        save(figure, folder / f"{name}.png", dpi=100 if name == "spectrograms" else 150)
        print(folder / f"{name}.png")


def pictures() -> Iterator[tuple[str, Figure]]:
    """Every picture with its name, one at a time."""
    stems = {name: torch.from_numpy(stem).float() for name, stem in compose_song().items()}
    sounds = {"mixture": sum(stems.values()), **stems}
    for draw in (waveforms, spectrums, spectrograms):
        yield draw.__name__, draw(sounds, SAMPLE_RATE_HZ)
    settings = {target: read_settings(target) for target in (*stems, "all")}
    yield "band_tables", band_tables({name: s["bands_hz"] for name, s in settings.items()}, SAMPLE_RATE_HZ)
    yield "architecture", architecture(settings["all"], sounds)
    yield "learning_curves", learning_curves(read_curves(IMAGES_DIR / "learning_curves.csv"))
    yield "source_separation_methods", methods_over_years(read_methods(IMAGES_DIR / "source_separation_methods.csv"))


def read_settings(target: str) -> dict[str, Any]:
    """The settings of the network that ``train.py target=…`` builds."""
    with initialize_config_dir(str(CONF_DIR), version_base="1.3"):
        return model_hparams(compose("config", overrides=[f"target={target}"]))


if __name__ == "__main__":
    run(main)
