"""``target=guitar`` without a conf/target/guitar.yaml: Hydra finds this plugin and asks it for names without a file."""

import re
from pathlib import PurePosixPath

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from demixer.paths import CONF_DIR

_NAME = re.compile(r"\w[\w -]*")  # it becomes part of file names


class AnyTarget(ConfigSource):
    """Gives every name of a target a configuration: one network for it, with the bands of ``other``.

    The paper has bands for four sources only, and gives those of the vocals (V7) to whatever "other" is. Whether the
    songs have such a stem is for the data to say, which lists what there is.
    """

    @staticmethod
    def scheme() -> str:
        return "any-target"

    def load_config(self, config_path: str) -> ConfigResult:
        config = OmegaConf.load(CONF_DIR / "target" / "other.yaml")
        name = PurePosixPath(config_path).name.removesuffix(".yaml")
        config.name, config.targets = name, [name]
        return ConfigResult(self.provider, self.full_path(), config, header={"package": None})

    def is_config(self, config_path: str) -> bool:
        """Whether it is ``target/NAME``; the files in conf/target are asked first."""
        group, _, name = config_path.partition("/")
        return group == "target" and _NAME.fullmatch(name) is not None

    def is_group(self, config_path: str) -> bool:
        return config_path in ("", "target")

    def available(self) -> bool:
        return True

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        """Nothing: Hydra's help names the files."""
        return []


class AnyTargetSearchPath(SearchPathPlugin):
    """Makes :class:`AnyTarget` the last place where Hydra looks."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append(provider="any-target", path=f"{AnyTarget.scheme()}://")
