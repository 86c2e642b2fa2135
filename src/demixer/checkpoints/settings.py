"""Settings from strangers: each is asked for with the type and the range that it must have."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from demixer.errors import UserError, brief


@dataclass(frozen=True)
class Settings:
    """A mapping from a file, with where it was found.

    Args:
        values: of the mapping.
        where: the file, as a line names it.
        path: the names of the sections around it, each followed by a dot.

    Raises:
        UserError: the mapping is none; and from every method a line with the setting's name, its value, and the rule.
    """

    values: Mapping[str, Any] = field(repr=False)
    where: str = ""
    path: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.values, Mapping):
            name = f"`{self.path.removesuffix('.')}` " if self.path else "these settings "
            raise UserError(f"{self._of()}{name}(={brief(self.values)}) must be settings by name")

    def _of(self) -> str:
        return f"{self.where}: " if self.where else ""

    def refuse(self, name: str, rule: str) -> UserError:
        """The error that says that a setting's value breaks a rule."""
        return UserError(f"{self._of()}`{self.path}{name}` (={brief(self.values.get(name))}) {rule}")

    def _get(self, name: str, default: Any) -> Any:
        value = self.values.get(name)
        value = default if value is None else value  # as YAML's null, it is not given
        if value is None:
            raise UserError(f"{self._of()}the settings lack `{self.path}{name}`")
        return value

    def whole(self, name: str, lowest: int, highest: int, default: int | None = None) -> int:
        """A whole number from ``lowest`` to ``highest``; without a default it must be there."""
        value = self._get(name, default)
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if isinstance(value, bool) or not whole or not lowest <= value <= highest:
            raise self.refuse(name, f"must be a whole number from {lowest} to {highest}")
        return int(value)

    def number(self, name: str, lowest: float, highest: float, default: float | None = None) -> float:
        """A number from ``lowest`` to ``highest``."""
        value = self._get(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not lowest <= value <= highest:
            raise self.refuse(name, f"must be a number from {lowest:g} to {highest:g}")
        return value

    def text(self, name: str) -> str:
        """A text of at most 1000 characters, which must be there."""
        value = self._get(name, None)
        if not isinstance(value, str) or not 0 < len(value) <= 1000:
            raise self.refuse(name, "must be a text of at most 1000 characters")
        return value

    def choice(self, name: str, known: Collection[Any], default: Any = None) -> Any:
        """One of some values."""
        value = self._get(name, default)
        if not any(type(value) is type(one) and value == one for one in known):
            raise self.refuse(name, f"must be one of {', '.join(map(str, known))}")
        return value

    def section(self, name: Any, needed: bool = False) -> Self:
        """The settings under a name; none where it is not there or empty, unless it is needed."""
        value = self._get(name, None) if needed else self.values.get(name)
        return type(self)(
            {} if value is None else value, self.where, f"{self.path}{name if isinstance(name, str) else brief(name)}."
        )

    def only(self, known: Collection[str]) -> None:
        """Refuse every setting of another name."""
        unknown = [brief(name) for name in self.values if name not in known]
        if unknown:
            of = f"`{self.path.removesuffix('.')}` has" if self.path else "there is"
            raise UserError(f"{self._of()}{of} no setting {', '.join(unknown[:5])}: known are {', '.join(known)}")
