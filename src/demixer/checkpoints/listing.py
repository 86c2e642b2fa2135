"""Which models are here, and which can be downloaded: on the screen."""

from pathlib import Path

from rich.box import HORIZONTALS
from rich.console import Console
from rich.table import Table
from rich.text import Text

from demixer.checkpoints.locating import shipped_models
from demixer.checkpoints.registry import Entry, Registry, read_registry
from demixer.errors import UserError, shown

MOST_STEMS = 8  # in a cell; one model has 53


def print_models(registry: Path | None = None, stem: str | None = None) -> None:
    """Say which models are here, what people call some, and which can be downloaded.

    Args:
        registry: None: this program's.
        stem: list only the models with a stem whose name has this in it.

    Raises:
        UserError: the registry cannot be read, or no model has such a stem.
    """
    known, here = read_registry(registry), shipped_models()
    console = Console()
    if stem is None:
        console.print("here:", *(Text(shown(name)) for name in here), end="\n\n")
        console.print(names_table(known), end="\n\n")
    console.print(registry_table(known, here, stem))


def names_table(known: Registry) -> Table:
    """What people call models: the argument of ``-c``."""
    table = _table("-c NAME", "the model", "MB", "for")
    for called, name in known.names.items():
        size = _megabytes(known.models[name.model]) if name.model in known.models else "here"
        _add(table, called, name.model, size, name.purpose)
    return table


def registry_table(known: Registry, here: list[str] | None = None, stem: str | None = None) -> Table:
    """What there is, how large, how good, and under which licence; what is here has a tick.

    Raises:
        UserError: no model has such a stem.
    """
    entries = [entry for entry in known.models.values() if _stems(entry, stem)]
    if not entries:
        every = sorted({target for entry in known.models.values() for target in entry.targets})
        raise UserError(f"no model separates {stem!r}: there are {', '.join(every)}")
    table = _table("", "name", "MB", "licence", "what it is, and its stems")
    for entry in entries:
        tick = "✓" if entry.name in (here or []) else ""
        about = f"{entry.about}; {entry.architecture} by {entry.by}: {_scores(entry, stem)}"
        _add(table, tick, entry.name, _megabytes(entry), entry.licence, about)
    return table


def _table(*columns: str) -> Table:
    table = Table(box=HORIZONTALS, show_lines=True, pad_edge=False)
    for name in columns[:-1]:
        table.add_column(name, no_wrap=name != "licence", max_width=10 if name == "licence" else None)
    table.add_column(columns[-1], overflow="fold")
    return table


def _add(table: Table, *cells: str) -> None:
    table.add_row(*(Text(shown(cell)) for cell in cells))  # as they are: no brackets that colour or link


def _megabytes(entry: Entry) -> str:
    return entry.size.removesuffix(" MB")


def _stems(entry: Entry, stem: str | None) -> list[str]:
    return [target for target in entry.targets if stem is None or stem.lower() in target.lower()]


def _scores(entry: Entry, stem: str | None) -> str:
    """The stems with their scores; of many those with a score first."""
    stems = sorted(_stems(entry, stem), key=lambda target: target not in entry.scores_db)
    told = [f"{target} {entry.scores_db[target]:.2f}" if target in entry.scores_db else target for target in stems]
    more = f" … {len(stems)} in all" if len(stems) > MOST_STEMS else ""
    return " · ".join(told[:MOST_STEMS]) + more + (f" ({entry.measured})" if entry.measured else "")
