"""What may be said to a preset that follows words, and what means nothing to it."""

from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import Final

from animcli.cli.settings import flag
from animcli.errors import UsageError
from animcli.presets import Preset

STRENGTHS: Final = ("motion_strength", "motion_id")
"""Flags that say how much moves, as `--motion-like` does."""

JOINTS: Final = ("detector", "person", "camera", "stay_inside")
"""Flags about joints, of which such a preset sees none."""

WANDERING: Final = "no --prompt was given: what moves, and how, is left to the network"


def check_words(
    preset: Preset,
    chosen: Mapping[str, object],
    motion_from: Path | None,
    motion_like: Path | None,
    *,
    loop: bool,
    retarget: bool,
) -> None:
    """Raise UsageError for flags that exclude each other, or that nothing would hear."""
    if (said := _strengths(chosen.keys(), motion_like)) and len(said) > 1:
        raise UsageError(
            f"{said[0]} says how much moves, and so does {said[1]}",
            "give one of --motion-like, --motion-strength and --motion-id",
        )
    deaf = [flag(name) for name in JOINTS if name in chosen]
    if not retarget:
        deaf.append("--no-retarget")
    if deaf:
        raise UsageError(
            f"{deaf[0]} is about joints, and the preset {preset.name} follows none",
            f"leave {deaf[0]} out",
        )
    for name, given in (("--loop", loop), ("--source-prompt", "source_prompt" in chosen)):
        if given and motion_from is None:
            raise UsageError(
                f"{name} is about the clip whose motion is taken, and there is none",
                "--motion-from FILE says which",
            )


def as_chosen(preset: Preset, chosen: Mapping[str, object]) -> Preset:
    """The preset; a strength on the line outdoes a motion id from elsewhere."""
    return replace(preset, motion_id=None) if "motion_strength" in chosen else preset


def _strengths(chosen: Set[str], motion_like: Path | None) -> list[str]:
    """The flags that say how much moves."""
    said = ["--motion-like"] if motion_like else []
    return said + [flag(name) for name in STRENGTHS if name in chosen]
