"""Everything that one may choose about a training run: one TOML file, a table per stage."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from animcli.errors import ProjectError
from animcli.keys import changed, check_table, key, keys_of, read_toml
from animcli.training.autoencoder import AutoencoderRecipe
from animcli.training.clips import ClipData
from animcli.training.large_settings import (
    ANIMATE_ANYONE,
    CINEMO,
    MAGIC_ANIMATE,
    LargeSettings,
    Model,
)
from animcli.training.loop import Schedule
from animcli.training.shards import Growth
from animcli.training.single_frames import Recipe

S = TypeVar("S")


@dataclass(frozen=True)
class Data:
    """What a run learns from, and the shape it is prepared in."""

    size: int = key(256, "Pixels across and down.", low=64, high=1024, multiple=16)
    targets: int = key(6, "Frames of a clip beside its reference.", low=1, high=64)
    shard_clips: int = key(32, "Clips of a shard.", low=1, high=4096)
    validation_clips: int = key(16, "Clips that are kept for validation.", low=1)
    validation_targets: int = key(2, "Frames of each of them.", low=1)


@dataclass(frozen=True)
class AutoencoderStage:
    """The settings of stage `autoencoder`."""

    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            learning_rate=5e-4, weight_decay=1e-4, ema=0.99, clip=0.1
        )
    )
    recipe: AutoencoderRecipe = field(default_factory=AutoencoderRecipe)


@dataclass(frozen=True)
class FrameStage:
    """The settings of stage `1`."""

    schedule: Schedule = field(default_factory=lambda: Schedule(updates=100_000, ema=0.998))
    recipe: Recipe = field(default_factory=Recipe)
    growth: Growth = field(default_factory=Growth)


@dataclass(frozen=True)
class ClipStage:
    """The settings of stage `2`."""

    schedule: Schedule = field(default_factory=lambda: Schedule(updates=10_000, ema=0.998))
    recipe: Recipe = field(
        default_factory=lambda: Recipe(clips=2, targets=12, shared_noise=0.5)
    )
    data: ClipData = field(default_factory=ClipData)
    growth: Growth = field(default_factory=Growth)


@dataclass(frozen=True)
class TrainSettings:
    """A whole run of the small model."""

    model: Model = field(default_factory=Model)
    data: Data = Data()
    autoencoder: AutoencoderStage = field(default_factory=AutoencoderStage)
    frames: FrameStage = field(default_factory=FrameStage)
    clips: ClipStage = field(default_factory=ClipStage)


DEFAULTS: Final[dict[str, TrainSettings | LargeSettings]] = {
    "mini": TrainSettings(),
    "animate-anyone": ANIMATE_ANYONE,
    "magic-animate": MAGIC_ANIMATE,
    "cinemo": CINEMO,
}
"""What holds for a model where nothing is said."""


def tables_of(settings: TrainSettings | LargeSettings) -> dict[str, str]:
    """Table of the file -> field of the settings."""
    if isinstance(settings, LargeSettings):
        tables = {"model": "model", "data": "data", "1": "first"}
        return tables if settings.second is None else {**tables, "2": "second"}
    names = {"frames": "1", "clips": "2"}
    return {names.get(each.name, each.name): each.name for each in fields(settings)}


def parts_of(table: Any) -> dict[str, Any]:
    """The dataclasses whose keys a table holds, by field; itself under no name."""
    return {"": table} if keys_of(type(table)) else dict(vars(table))


def read_settings(path: Path) -> TrainSettings | LargeSettings:
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
