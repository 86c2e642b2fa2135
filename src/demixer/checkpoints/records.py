"""What a training run was started with: ``config.yaml`` in its folder, and another for every resume with changes.

A record stands on its own: what came from the environment, from the clone's place or from Hydra is written as its
value, so that it tells a year later which songs these were. Only references to other lines of the same file stay what
they are, so that they follow when a resume changes that line. ``started`` tells the overrides, the number of processes,
the commit and the time.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from demixer.errors import UserError, one_line
from demixer.temporary import atomic_path

RECORD_NAME = "config.yaml"
_LATER = re.compile(r"config_(\d+)\.yaml")
_RESOLVER = re.compile(r"\$\{[^${}]*:")  # ${oc.env:NAME}, ${src_dir:}; but not ${target.targets}


@dataclass(frozen=True)
class Record:
    """The settings of a run.

    Args:
        settings: the whole configuration.
        overrides: what was given on the command line, at the start and at resumes; None where nobody knows.
        processes: that trained; None where nobody knows.
    """

    settings: DictConfig
    overrides: list[str] | None = None
    processes: int | None = None

    def setting(self, key: str) -> Any:
        """A setting as plain data; None where there is none, or where it named what this environment has not."""
        try:
            value = OmegaConf.select(self.settings, key)
            return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
        except OmegaConfBaseException:
            return None


def read_record(run_dir: Path) -> Record | None:
    """The newest record of a run; of one from before there were records, what Hydra wrote; None in a saved model.

    Raises:
        UserError: it cannot be read.
    """
    own = _records(run_dir)
    file = own[-1] if own else run_dir / "hydra" / RECORD_NAME
    if not file.is_file():
        return None
    try:
        settings = OmegaConf.load(file)
        if own:
            started = settings.pop("started", None) or {}
            return Record(settings, list(started.get("overrides", [])), started.get("processes"))
        given = file.with_name("overrides.yaml")
        return Record(settings, list(OmegaConf.load(given)) if given.is_file() else None)
    except (OSError, yaml.YAMLError, OmegaConfBaseException, AttributeError) as error:
        raise UserError(f"cannot read the settings of the run, `{file}`: {one_line(error)}") from error


def write_record(run_dir: Path, settings: DictConfig, **started: Any) -> Path:
    """Write the first record of a run, or the next one: none is ever overwritten.

    Args:
        run_dir: the run's folder.
        settings: the whole configuration.
        started: what else is to be known of this start, as plain data.
    """
    before = _records(run_dir)
    file = run_dir / (f"config_{_number(before[-1]) + 1}.yaml" if before else RECORD_NAME)
    content = OmegaConf.to_yaml(OmegaConf.create({"started": started, **standing_alone(settings)}))
    with atomic_path(file) as temporary:
        temporary.write_text(content, encoding="utf-8")
    return file


def standing_alone(settings: DictConfig | ListConfig) -> Any:
    """The settings as plain data, in which ``${…}`` refers to other settings only: all else is resolved."""
    raw = OmegaConf.to_container(settings, resolve=False)

    def value(key: str | int) -> Any:
        if OmegaConf.is_interpolation(settings, key) and not _RESOLVER.search(raw[key]):
            return raw[key]
        return standing_alone(settings[key]) if OmegaConf.is_config(settings[key]) else settings[key]

    return {key: value(key) for key in raw} if isinstance(raw, dict) else [value(key) for key in range(len(raw))]


def _records(run_dir: Path) -> list[Path]:
    files = [file for file in run_dir.glob("config*.yaml") if file.name == RECORD_NAME or _LATER.fullmatch(file.name)]
    return sorted(files, key=_number)


def _number(file: Path) -> int:
    match = _LATER.fullmatch(file.name)
    return int(match[1]) if match else 1
