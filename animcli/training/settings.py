"""Everything that one may choose about a training run: one TOML file, a table per stage."""

from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from animcli.errors import ProjectError
from animcli.settings import changed, check_table, read_toml, setting, settings_in
from animcli.training.autoencoder import AutoencoderRecipe
from animcli.training.cinemo import DROP_TEXT
from animcli.training.cinemo import PUBLISHED as CINEMO_OBJECTIVE
from animcli.training.denoising import DenoisingRecipe
from animcli.training.objective import Objective
from animcli.training.samples import SampleSchedule, Shares
from animcli.training.trainer import TrainerSettings

S = TypeVar("S")


@dataclass(frozen=True)
class Model:
    """System, initial weights, and device."""

    name: Literal["tiny", "animate-anyone", "magic-animate", "cinemo"] = setting(
        "tiny", "System to train; `tiny` is Animate Anyone, small."
    )
    start: Literal["nothing", "published", "sd15"] = setting(
        "nothing",
        "Initial weights: random for tiny; Animate Anyone and MagicAnimate begin with "
        "published weights or Stable Diffusion 1.5's, Cinemo with published ones.",
    )
    device: Literal["cpu", "cuda", "mps"] = setting("cpu", "Device to train on.")

    def __post_init__(self) -> None:
        """Raises ProjectError for a start that the system doesn't have."""
        starts = {"tiny": ("nothing",), "cinemo": ("published",)}
        known = starts.get(self.name, ("published", "sd15"))
        if self.start not in known:
            raise ProjectError(
                f"{self.name} can't begin with start = '{self.start}'",
                f"start = {' or '.join(map(repr, known))}",
            )


@dataclass(frozen=True)
class Data:
    """Samples that are cut from footage, or drawn, and encoded."""

    width: int = setting(512, "Pixels across.", low=32, high=2048, multiple=8)
    height: int = setting(768, "Pixels down.", low=32, high=2048, multiple=8)
    samples: int = setting(1000, "Samples of each stage.", low=1)
    targets: int = setting(
        4, "Frames of a sample of stage 1, apart from one another.", low=1
    )
    frames: int = setting(24, "Frames of a sample of clips, consecutive.", low=1, high=32)
    every: int = setting(4, "Least frames of a video from one to the next.", low=1)
    _: KW_ONLY
    every_most: int = setting(4, "Most frames from one to the next.", low=1)
    validation: int = setting(3, "Samples of the last video, kept for validation.", low=1)


@dataclass(frozen=True)
class AutoencoderStage:
    """Settings of stage `autoencoder`."""

    trainer: TrainerSettings
    recipe: AutoencoderRecipe = field(default_factory=AutoencoderRecipe)


@dataclass(frozen=True)
class StageSettings:
    """Settings of stage `1` or `2`."""

    trainer: TrainerSettings
    recipe: DenoisingRecipe
    objective: Objective = field(default_factory=Objective)
    shares: Shares = field(default_factory=Shares)
    sample_schedule: SampleSchedule = field(default_factory=SampleSchedule)


@dataclass(frozen=True)
class RunSettings:
    """A whole run. Only tiny trains its autoencoder; Cinemo has one stage, of clips."""

    model: Model
    first: StageSettings
    second: StageSettings | None
    data: Data = field(default_factory=Data)
    autoencoder: AutoencoderStage | None = None

    def __post_init__(self) -> None:
        """Raises ProjectError for crops that are larger than the pictures."""
        if self.autoencoder is None:
            return
        crop, least = self.autoencoder.recipe.crop, min(self.data.width, self.data.height)
        if crop > least:
            raise ProjectError(
                f"crop = {crop} is larger than the pictures, of {least} pixels",
                f"set crop = {least} in [autoencoder]",
            )

    def tables(self) -> dict[str, str]:
        """Table of the file -> field of the settings."""
        names = {
            "model": "model",
            "data": "data",
            "autoencoder": "autoencoder",
            "1": "first",
            "2": "second",
        }
        return {table: name for table, name in names.items() if getattr(self, name)}

    def updates(self) -> dict[str, int]:
        """Updates of each stage, in their order."""
        stages = {
            table: getattr(self, name)
            for table, name in self.tables().items()
            if table not in ("model", "data")
        }
        return {table: stage.trainer.updates for table, stage in stages.items()}


def authors_trainer(updates: int) -> TrainerSettings:
    """Schedule of Animate Anyone's authors; the others don't say, and get the same."""
    return TrainerSettings(
        updates=updates,
        learning_rate=1e-5,
        warmup=1,
        beta2=0.999,
        ema_decay=0,
        save_every=500,
    )


TINY_OBJECTIVE: Final = Objective(
    prediction="sample",
    timestep_power=0.4,
    snr_weights="min-snr",
    snr_floor=1.0,
    noise_offset=0,
)
MAGIC_OBJECTIVE: Final = Objective(
    prediction="epsilon",
    beta_schedule="linear",
    zero_snr=False,
    snr_weights="none",
    noise_offset=0,
)
"""As in the authors' sampling; they published no training code."""

DEFAULTS: Final[dict[str, RunSettings]] = {
    "tiny": RunSettings(
        Model(),
        StageSettings(
            TrainerSettings(
                updates=60_000,
                learning_rate=1.2e-3,
                warmup=200,
                decay=15_000,
                beta2=0.98,
            ),
            DenoisingRecipe(batch=8, frames=3, dropped=0.05, evaluated=32, steps=8),
            TINY_OBJECTIVE,
            sample_schedule=SampleSchedule(first_samples=256),
        ),
        StageSettings(
            TrainerSettings(updates=8_000, learning_rate=5e-4, decay=3_000),
            DenoisingRecipe(batch=2, frames=12, dropped=0.05, evaluated=6, steps=8),
            TINY_OBJECTIVE,
            sample_schedule=SampleSchedule(first_samples=64, samples_per_update=0.25),
        ),
        Data(256, 256, samples=30_000, targets=6, frames=16, validation=32),
        AutoencoderStage(
            TrainerSettings(
                updates=12_000,
                learning_rate=1e-3,
                decay=3_000,
                weight_decay=1e-4,
                ema_decay=0.995,
                clip_norm=0.5,
            )
        ),
    ),
    "animate-anyone": RunSettings(
        Model("animate-anyone", "published"),
        StageSettings(authors_trainer(30_000), DenoisingRecipe(batch=4, frames=1)),
        StageSettings(authors_trainer(10_000), DenoisingRecipe(checkpointing=True)),
    ),
    "magic-animate": RunSettings(
        Model("magic-animate", "published"),
        StageSettings(
            authors_trainer(30_000), DenoisingRecipe(batch=4, frames=1), MAGIC_OBJECTIVE
        ),
        StageSettings(
            authors_trainer(10_000),
            DenoisingRecipe(frames=16, checkpointing=True),
            MAGIC_OBJECTIVE,
        ),
        Data(512, 512, frames=16),
    ),
    "cinemo": RunSettings(
        Model("cinemo", "published"),
        StageSettings(
            authors_trainer(30_000),
            DenoisingRecipe(frames=16, dropped=DROP_TEXT, checkpointing=True),
            CINEMO_OBJECTIVE,
        ),
        None,
        Data(512, 320, frames=16, every=3, every_most=10),
    ),
}
"""Settings of each system where a file says nothing."""


def settings_parts(table: Any) -> dict[str, Any]:
    """Dataclasses whose keys a table holds, by field; itself under no name."""
    return {"": table} if settings_in(type(table)) else dict(vars(table))


def read_settings(path: Path) -> RunSettings:
    """Settings in a file, the rest as usual for its system.

    Raises ProjectError, naming the file, the key and its value.
    """
    tables, text = read_toml(path, ProjectError)
    model = tables.get("model", {})
    about = model if isinstance(model, dict) else {}
    checked = check_table(
        dict.fromkeys(settings_in(Model), Model), about, path, text, ProjectError
    )
    settings = DEFAULTS[str(checked.get("name", Model().name))]
    known = settings.tables()
    values: dict[str, object] = {}
    for table, keys in tables.items():
        if table not in known or not isinstance(keys, dict):
            raise ProjectError(
                f"{path}: no table [{table}]", f"the tables are {', '.join(known)}"
            )
        now = getattr(settings, known[table])
        parts = settings_parts(now)
        homes = {
            name: type(part) for part in parts.values() for name in settings_in(type(part))
        }
        checked = check_table(homes, keys, path, text, ProjectError)
        made = {name: _with(part, checked) for name, part in parts.items()}
        values[known[table]] = made[""] if "" in made else type(now)(**made)
    return changed(settings, values)


def _with(part: S, values: dict[str, Any]) -> S:
    """A dataclass of settings with those of `values` that are its own."""
    own = settings_in(type(part))
    return changed(part, {name: each for name, each in values.items() if name in own})
