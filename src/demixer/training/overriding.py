"""The command line's overrides, applied to settings that were not composed but recorded."""

from collections.abc import Sequence
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from demixer.errors import UserError, one_line
from demixer.paths import CONF_DIR

Place = tuple[str, ...]  # of a setting: ("optimizer", "lr")
_OF_ONE_START = {"ckpt_path", "run_dir"}


def overridden(settings: DictConfig, before: Sequence[str] | None, given: Sequence[str]) -> DictConfig:
    """Settings of a run, changed by what is given now.

    Only Hydra knows what ``loss=relative_rms`` or ``~callbacks.listen`` mean. So it composes twice, with the overrides
    of the run and with these and the given ones; what differs between the two is changed, and so is what a given
    override names by itself. All else stays as it was recorded, whatever ``conf/`` says today.

    Args:
        settings: as recorded.
        before: the overrides that the run has had; None where nobody knows.
        given: the overrides now.

    Raises:
        UserError: they do not go together.
    """
    known = _lines(_latest(before or ()))
    new = [one for one in _latest(given) if one.input_line not in known and _key(one) not in _OF_ONE_START]
    if not new:
        return settings
    old, both = _composed(known), _composed(merged(before, given))
    named = [_place(one) for one in new if before is None or not _is_group(one)]
    content = OmegaConf.to_container(settings, resolve=False)
    changed = {place: value for place, value in both.items() if old.get(place) != value or is_named(place, named)}
    for place in (old.keys() - both.keys()) | {place for place in flat(content) if is_named(place, named)}:
        _remove(content, place)
    for place, value in changed.items():
        _set(content, place, value)
    return OmegaConf.create(content)


def places(given: Sequence[str]) -> list[Place]:
    """What overrides name: settings, or groups of them."""
    return [_place(one) for one in _latest(given)]


def is_named(place: Place, names: Sequence[Place]) -> bool:
    """Whether a place is what a name means, or lies in it, or is the list of which the name is an item."""
    return any(place[: len(name)] == name[: len(place)] for name in names)


def merged(before: Sequence[str] | None, given: Sequence[str]) -> list[str]:
    """The overrides of a run after a resume: the later ones take the place of earlier ones of the same name.

    Where another choice of a group is given (``loss=relative_rms``), those within the former one are left out if the
    new one has no such setting.
    """
    earlier, later = _latest(before or ()), _latest(given)
    names = {_key(one) for one in later}
    groups = tuple(f"{_key(one)}." for one in later if _is_group(one) and one.input_line not in (before or ()))
    kept = [one for one in earlier if _key(one) not in names]
    within = [one for one in kept if _key(one).startswith(groups)] if groups else []
    for one in within:
        try:
            _composed(_lines([one, *later]))
        except UserError:
            kept.remove(one)
    return _lines([*kept, *later])


def flat(node: Any, place: Place = ()) -> dict[Place, Any]:
    """The values of nested mappings, by their places; a list is one value."""
    if not isinstance(node, dict) or not node:
        return {place: node}
    return {inner: value for key, one in node.items() for inner, value in flat(one, (*place, str(key))).items()}


def _composed(overrides: Sequence[str]) -> dict[Place, Any]:
    running, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None  # there may be one only
    name = JobRuntime.instance().get("name")  # of the log file of a multirun's next job, too
    try:
        with initialize_config_dir(str(CONF_DIR), name, version_base="1.3"):
            return flat(OmegaConf.to_container(compose("config", list(overrides)), resolve=False))
    except HydraException as error:
        raise UserError(
            f"what is given does not go with the run's own overrides ({' '.join(overrides)}): {one_line(error)}"
        ) from error
    finally:
        GlobalHydra.instance().hydra = running


def _latest(overrides: Sequence[str]) -> list[Override]:
    """The overrides, of those with one name the last."""
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    last = {_key(one): number for number, one in enumerate(parsed)}
    return [one for number, one in enumerate(parsed) if last[_key(one)] == number]


def _lines(overrides: Sequence[Override]) -> list[str]:
    return [one.input_line for one in overrides if _key(one) not in _OF_ONE_START]


def _key(override: Override) -> str:
    return override.key_or_group.partition("[")[0]  # a list is one value


def _place(override: Override) -> Place:
    return tuple(_key(override).split("."))


def _is_group(override: Override) -> bool:
    return (CONF_DIR / override.key_or_group).is_dir()


def _remove(content: dict[str, Any], place: Place) -> None:
    """Take out a setting, and the groups that hold nothing any more: an empty one is an argument, too."""
    first, *rest = place
    if rest and isinstance(content.get(first), dict):
        _remove(content[first], tuple(rest))
    if not rest or content.get(first) == {}:
        content.pop(first, None)


def _set(content: dict[str, Any], place: Place, value: Any) -> None:
    for key in place[:-1]:
        if not isinstance(content.get(key), dict):
            content[key] = {}
        content = content[key]
    content[place[-1]] = value
