"""`tiny` with networks of a few thousand weights, at 64 by 64 pixels."""

from dataclasses import replace
from typing import Any

from animcli.networks.unet_blocks import MotionConfig, UNetConfig
from animcli.training.animate_anyone import TINY, AnimateAnyoneAdapter
from animcli.training.settings import DEFAULTS, RunSettings

SIDE = 64
SMALL = replace(
    TINY,
    unet=UNetConfig(
        in_channels=16, block_channels=(16, 16), layers_per_block=1, attention=(True, True),
        heads=2, groups=4,
        context_dim=8, motion=MotionConfig(max_frames=8, heads=2, groups=4),
    ),
    guider_channels=(8,),
)  # fmt: skip
SYSTEM = AnimateAnyoneAdapter(SMALL)


def short_settings(**trainer: Any) -> RunSettings:
    """Three updates of each stage. trainer: other settings of their trainers."""
    usual = DEFAULTS["tiny"]
    changes = {"updates": 3, "save_every": 1, "evaluate_every": 2, "decay": 0, **trainer}
    first, second, autoencoder = (
        replace(stage, trainer=replace(stage.trainer, **changes))
        for stage in (usual.first, usual.second, usual.autoencoder)
    )
    recipe = replace(first.recipe, batch=2, frames=2, evaluated=2, steps=2, dropped=0.3)
    sample_schedule = replace(
        first.sample_schedule, first_samples=2, samples_per_update=1.0
    )
    return replace(
        usual,
        first=replace(first, recipe=recipe, sample_schedule=sample_schedule),
        second=replace(second, recipe=replace(recipe, frames=4),
            sample_schedule=sample_schedule),
        data=replace(
            usual.data, width=SIDE, height=SIDE, samples=4, targets=3, frames=4,
            validation=2,
        ),
        autoencoder=replace(
            autoencoder,
            recipe=replace(autoencoder.recipe, samples=1, crop=32, evaluated=2),
        ),
    )  # fmt: skip
