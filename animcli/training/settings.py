"""Everything that one may choose about a training run: one TOML file, a table per stage."""

from pathlib import Path
from typing import Any, Final, TypeVar

from animcli.errors import ProjectError
from animcli.settings import changed, check_table, keys_of, read_toml
from animcli.training.large_settings import (
    ANIMATE_ANYONE,
    CINEMO,
    MAGIC_ANIMATE,
    LargeSettings,
    Model,
)

S = TypeVar("S")

DEFAULTS: Final[dict[str, LargeSettings]] = {
    "animate-anyone": ANIMATE_ANYONE,
    "magic-animate": MAGIC_ANIMATE,
    "cinemo": CINEMO,
}
"""What holds for a model where nothing is said."""


def tables_of(settings: LargeSettings) -> dict[str, str]:
    """Table of the file -> field of the settings."""
    tables = {"model": "model", "data": "data", "1": "first"}
    return tables if settings.second is None else {**tables, "2": "second"}


def parts_of(table: Any) -> dict[str, Any]:
    """The dataclasses whose keys a table holds, by field; itself under no name."""
    return {"": table} if keys_of(type(table)) else dict(vars(table))


def read_settings(path: Path) -> LargeSettings:
    """The settings in a file; what it doesn't say is as usual for its model.

    Raises ProjectError, naming the file, the key and its value.
    """
    tables, text = read_toml(path, ProjectError)
    model = tables.get("model", {})
    about = model if isinstance(model, dict) else {}
    checked = check_table(
        dict.fromkeys(keys_of(Model), Model), about, path, text, ProjectError
    )
    settings = DEFAULTS[str(checked.get("name", Model().name))]
    known = tables_of(settings)
    values: dict[str, object] = {}
    for table, keys in tables.items():
        if table not in known or not isinstance(keys, dict):
            raise ProjectError(
                f"{path}: no table [{table}]", f"the tables are {', '.join(known)}"
            )
        now = getattr(settings, known[table])
        parts = parts_of(now)
        homes = {
            name: type(part) for part in parts.values() for name in keys_of(type(part))
        }
        checked = check_table(homes, keys, path, text, ProjectError)
        made = {name: _with(part, checked) for name, part in parts.items()}
        values[known[table]] = made[""] if "" in made else type(now)(**made)
    return changed(settings, values)


def _with(part: S, values: dict[str, Any]) -> S:
    """A dataclass of settings with those of `values` that are its own."""
    own = keys_of(type(part))
    return changed(part, {name: each for name, each in values.items() if name in own})
