"""What one may choose about training a large system, and what its authors chose."""

from dataclasses import dataclass, field
from typing import Final, Literal

from animcli.errors import ProjectError
from animcli.settings import key
from animcli.training.cinemo import DROP_TEXT
from animcli.training.cinemo import PUBLISHED as CINEMO_DIFFUSION
from animcli.training.diffusion import Diffusion
from animcli.training.large import LargeRecipe
from animcli.training.loop import Schedule


@dataclass(frozen=True)
class Model:
    """What is trained, from what, and where."""

    name: Literal["animate-anyone", "magic-animate", "cinemo"] = key(
        "animate-anyone", "The system that is trained."
    )
    start: Literal["published", "sd15"] = key(
        "published",
        "The weights that it begins with; Cinemo knows published ones only.",
    )
    device: Literal["cpu", "cuda", "mps"] = key("cpu", "Where it is trained.")

    def __post_init__(self) -> None:
        """Raises ProjectError for a choice that the model doesn't give."""
        if self.name == "cinemo" and self.start != "published":
            raise ProjectError("Cinemo can't begin with sd15", "start = 'published'")


@dataclass(frozen=True)
class LargeData:
    """The takes that are cut from footage before training."""

    width: int = key(512, "Pixels across.", low=32, high=2048, multiple=8)
    height: int = key(768, "Pixels down.", low=32, high=2048, multiple=8)
    takes: int = key(1000, "Takes of videos, for each stage.", low=1)
    targets: int = key(4, "Frames of a take of stage 1, apart from one another.", low=1)
    frames: int = key(24, "Frames of a take of clips, on end.", low=1, high=32)
    every: int = key(4, "Least frames of a video from one to the next.", low=1)
    every_most: int = key(4, "Most frames from one to the next.", low=1)
    validation: int = key(3, "Takes of the last video, kept for validation.", low=1)


@dataclass(frozen=True)
class LargeStage:
    """The settings of one stage."""

    schedule: Schedule
    recipe: LargeRecipe
    diffusion: Diffusion


@dataclass(frozen=True)
class LargeSettings:
    """A whole run. Cinemo has one stage, of clips."""

    model: Model
    first: LargeStage
    second: LargeStage | None
    data: LargeData = field(default_factory=LargeData)


def authors_schedule(updates: int) -> Schedule:
    """How long and how fast Animate Anyone learns; others don't say, and get the same."""
    return Schedule(
        updates=updates, learning_rate=1e-5, warmup=1, beta2=0.999, ema=0, save_every=500
    )


MAGIC_DIFFUSION: Final = Diffusion(
    prediction="epsilon",
    betas="linear",
    zero_snr=False,
    snr_weights="none",
    noise_offset=0,
)
"""As in the authors' sampling; they published no training code."""

ANIMATE_ANYONE: Final = LargeSettings(
    Model("animate-anyone"),
    LargeStage(authors_schedule(30_000), LargeRecipe(batch=4, frames=1), Diffusion()),
    LargeStage(authors_schedule(10_000), LargeRecipe(checkpointing=True), Diffusion()),
)
MAGIC_ANIMATE: Final = LargeSettings(
    Model("magic-animate"),
    LargeStage(authors_schedule(30_000), LargeRecipe(batch=4, frames=1), MAGIC_DIFFUSION),
    LargeStage(
        authors_schedule(10_000),
        LargeRecipe(frames=16, checkpointing=True),
        MAGIC_DIFFUSION,
    ),
    LargeData(512, 512, frames=16),
)
CINEMO: Final = LargeSettings(
    Model("cinemo"),
    LargeStage(
        authors_schedule(30_000),
        LargeRecipe(frames=16, dropped=DROP_TEXT, checkpointing=True),
        CINEMO_DIFFUSION,
    ),
    None,
    LargeData(512, 320, frames=16, every=3, every_most=10),
)
